#!/usr/bin/env python3
"""The differential fuzzer: random operations on a union and on a plain directory that starts as a copy of it. See docs/testing.md."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tools")]
sys.dont_write_bytecode = True

from compare import Comparison, random_case  # noqa: E402
from shrink import shrink  # noqa: E402
from sides import Failure  # noqa: E402
from steps import read_case, write_case  # noqa: E402

FOREVER = float("inf")


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=int(time.strftime("%Y%m%d")) * 1000, help="the first seed (default: by date)")
    parser.add_argument("--count", type=int, default=0, help="how many seeds (default: one, or as many as --minutes allows)")
    parser.add_argument("--ops", type=int, default=3000, help="steps for each seed (default 3000)")
    parser.add_argument("--minutes", type=float, default=0, help="go on with the following seeds for so long")
    parser.add_argument("--kind", choices=("cowfs", "turns", "both"), default="both", help="cowfs alone, kernel overlayfs and cowfs in turns, or both by turns")
    parser.add_argument("--options", default="", help='options of every mount, as "-o timeout=0"')
    parser.add_argument("--stop", action="store_true", help="stop at the first failure")
    parser.add_argument("--shrink", type=float, default=120, help="seconds for making a failing sequence smaller (default 120)")
    parser.add_argument("--save", help="a directory for the cases that failed; of a replay too, made smaller")
    parser.add_argument("replay", nargs="*", help="case files to run instead of seeds")
    return parser.parse_args()


class Bench:
    """Runs cases, one after the other; layers that are the same as those before are not built again."""

    def __init__(self, area):
        self.area, self.last = area, None

    def attempt(self, case, action):
        """Runs what `action` does with a comparison. Returns the failure, or None, and the steps done (None: layers that cannot be compared)."""
        layers = (case.kind, case.options, case.lowers, case.upper)
        if self.last is None or self.last[0] != layers:
            self.last = None
            self.last = (layers, Comparison(self.area, case))
        compared = self.last[1]
        if not compared.usable:
            return None, None
        try:
            compared.start()
            if compared.refused:
                return None, None
            action(compared)
            return None, compared.done
        except Failure as failure:
            return failure, compared.done
        finally:
            compared.stop()
            if os.path.exists(self.area + "/driver.log"):
                os.unlink(self.area + "/driver.log")


def fails(bench, kind):
    def test(case):
        try:
            failure, _ = bench.attempt(case, lambda compared: compared.replay(case.steps))
        except (OSError, RuntimeError):
            return False  # layers that cannot be built
        return failure is not None and failure.kind == kind

    return test


def report(bench, case, failure, seed, options):
    """Shrinks and prints."""
    print(f"seed {seed}: {failure.kind}: {failure}\n  after {len(case.steps)} steps, options {case.options}", flush=True)
    if options.shrink > 0:
        case = shrink(case, fails(bench, failure.kind), time.monotonic() + options.shrink)
        again, done = bench.attempt(case, lambda compared: compared.replay(case.steps))
        if again is None:
            print("  the smaller sequence does not fail each time")
        else:
            failure, case = again, case._replace(steps=done)
    text = write_case(case._replace(comment=f"seed {seed}: {failure.kind}\n{failure}"))
    print(text, flush=True)
    if options.save:
        os.makedirs(options.save, exist_ok=True)
        with open(f"{options.save}/{os.path.basename(f'seed-{seed}.case' if isinstance(seed, int) else seed)}", "w", encoding="utf8") as stream:
            stream.write(text)


def replay(bench, options):
    failed = 0
    for name in options.replay:
        with open(name, encoding="utf8") as stream:
            case = read_case(stream.read())
        case = case._replace(options=[*options.options.split(), *case.options])
        failure, _ = bench.attempt(case, lambda compared, case=case: compared.replay(case.steps))
        print(f"{name}: {'passed' if failure is None else f'{failure.kind}: {failure}'}", flush=True)
        if failure is not None:
            failed += 1
            if options.save:
                report(bench, case, failure, name, options)
    return failed


def seeds(bench, options):
    began = time.monotonic()
    until = began + options.minutes * 60 if options.minutes > 0 else FOREVER
    count = options.count or (1 if options.minutes <= 0 else FOREVER)
    seed, done, operations, failed = options.seed, 0, 0, []
    while done < count and time.monotonic() < until:
        kind = options.kind if options.kind != "both" else ("cowfs", "cowfs", "turns")[seed % 3]
        case = random_case(seed, kind, options.options.split())
        failure, steps = bench.attempt(case, lambda compared, seed=seed: compared.generate(seed, options.ops, until))
        if steps is not None:
            operations += len(steps)
            done += 1
        if failure is not None:
            failed.append(seed)
            report(bench, case._replace(steps=steps), failure, seed, options)
            if options.stop:
                break
        seed += 1
    took = time.monotonic() - began
    print(f"fuzz: seeds {options.seed} to {seed - 1}: {operations} operations in {took:.0f} s ({operations / max(took, 1e-9):.0f} a second), "
          f"{len(failed)} failures{': seeds ' + ' '.join(map(str, failed)) if failed else ''}", flush=True)
    return len(failed)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # A file system of its own, in memory: nothing that is synced waits for the disk of this machine.
    place = tempfile.mkdtemp(prefix="cowfs-fuzz-", dir="/var/tmp")
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500M", "tmpfs", place], check=True)
        image, area = place + "/image", place + "/area"
        os.mkdir(area)
        subprocess.run(["truncate", "-s", "1400M", image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard", "-N", "65536", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, area], check=True)
        try:
            return 1 if (replay if options.replay else seeds)(Bench(area), options) else 0
        finally:
            subprocess.run(["umount", area], check=False)
    finally:
        subprocess.run(["umount", place], check=False)
        shutil.rmtree(place, ignore_errors=True)


sys.exit(main())
