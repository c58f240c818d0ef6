"""One run of steps on both sides, and what must hold of the answers, of the trees and of the inode numbers."""

import os
import random
import re
import time

import metacopies
from generate import Generator
from layers import Layers, for_libfuse_2
from sides import Failure, Native, Union
from steps import SPECIAL, Case, Step
from view import differences, identity, view

BATCH = 25
"""Operations that are chosen at once, from the names that are there before them."""
COMPARE = 100
"""Steps between two comparisons of the trees, in a long run; a short one compares after each."""
SHORT = 40
AT_THE_START = "at the start"
STABLE_OVER_REMOUNTS = True
"""Whether an object keeps its inode number from one mount to the next."""

VARIATIONS = (
    ((), (), ("timeout=0",), ("timeout=1",)),
    ((), (), ("io=passthrough",), ("lower_passthrough=0",)),
    ((), (), ("metacopy=off",)),
)
"""Mount options: each seed takes one of each line."""
OF_COWFS_ALONE = (
    ((), (), ("whiteout=aufs",), ("whiteout=xattr",)),
    ((), (), (), ("uidmapping=100000:0:65536", "gidmapping=200000:0:65536")),
    ((), (), (), ("xattr_permissions=1",), ("xattr_permissions=2",)),
)
"""Others, which kernel overlayfs has nothing like."""
SEEDS_BY_PATH = 12
"""One seed of so many is for the transport fuse-native, where there is less to compare."""
PASSED = {"io=passthrough", "lower_passthrough=0"}
"""With these whoever has a lower file open keeps to it when it is copied up."""


def random_case(seed, kind, options):
    """The layers and options of a seed, without steps."""
    chosen, counted = [*options], "size=" in ",".join(options)
    for number, choices in enumerate(VARIATIONS + OF_COWFS_ALONE if kind == "cowfs" else VARIATIONS):
        for word in random.Random(f"option {number} {seed}").choice(choices):
            # Where the driver counts what the upper holds, it passes no file through.
            if not (counted and word in PASSED):
                chosen += ["-o", word]
    by_path = kind == "cowfs" and random.Random(f"transport {seed}").randrange(SEEDS_BY_PATH) == 0
    # There new objects are the driver's user's, who may have no counterpart in a mapping.
    if by_path and not {*PASSED, *OF_COWFS_ALONE[1][-1]} & {*chosen}:
        chosen += ["--transport", "fuse-native"]
    chance = random.Random(f"layers {seed}")
    lowers, upper = Layers(chance, foreign=kind == "cowfs", hard="index=off" not in ",".join(chosen)).stack()
    if "fuse-native" in chosen:
        lowers, upper = [for_libfuse_2(nodes) for nodes in lowers], for_libfuse_2(upper)
    if kind == "cowfs" or "metacopy=off" not in chosen:
        metacopies.part(random.Random(f"metacopies {seed}"), [upper, *lowers], kernel=kind == "turns")
    return Case(kind, chosen, lowers, upper, [])


class Comparison:
    """Both sides of a case, which can be run from the start again and again."""

    def __init__(self, area, case):
        self.case, turns = case, case.kind == "turns"
        self.native, self.union = Native(area), Union(area, case.options, turns)
        self.usable = self.native.prepare(case.lowers, case.upper, exactly=turns)
        self.union.prepare(case.lowers, case.upper)
        self.done, self.inodes, self.refused = [], {}, False

    def start(self):
        self.done, self.inodes = [], {}
        self.native.reset()
        try:
            self.union.reset()
        except RuntimeError as error:
            if "passthrough" not in str(error) and "fuse-native" not in str(error):
                raise
            self.refused = True  # a kernel, or a machine, that has none
            return
        self.trees(AT_THE_START)

    def end(self):
        """Unmounts in order, and looks at what must be left as it was."""
        self.native.unmount()
        self.union.unmount()
        self.union.check_lowers()
        if complaint := self.union.complaint():
            raise Failure("log", f"the driver complains:\n{complaint}")

    def stop(self):
        self.native.end_workers()
        self.union.stop()

    def generate(self, seed, operations, until):
        """Random operations, so many or until that time. Returns how many steps were done."""
        options = self.case.options
        generator = Generator(random.Random(f"steps {seed}"), self.case.kind == "turns", bool(PASSED & {*options}), by_path="fuse-native" in options)
        compared = 0
        while len(self.done) < operations and time.monotonic() < until:
            generator.know(names(self.native.root))
            steps = [step for _ in range(BATCH) for step in generator.next()]
            self.do(steps)
            if len(self.done) - compared >= COMPARE:
                compared = len(self.done)
                self.trees("after these steps")
        self.finish()

    def replay(self, steps):
        every = len(steps) <= SHORT
        for step in steps:
            self.do([step])
            if every and step.op != "kill":
                self.trees("after these steps")
        self.finish()

    def finish(self):
        self.trees("after these steps")
        self.do_special(Step("a", "", "remount", ()))
        self.end()

    def do(self, steps):
        """Runs steps in order; those of one process that follow each other are sent together."""
        at = 0
        while at < len(steps):
            if steps[at].op in SPECIAL:
                self.done.append(steps[at])
                self.do_special(steps[at])
                at += 1
                continue
            end = at + 1
            while end < len(steps) and steps[end].process == steps[at].process and steps[end].op not in SPECIAL:
                end += 1
            self.together(steps[at:end])
            at = end

    def together(self, steps):
        sent = [tuple(step[1:]) for step in steps]
        workers = [side.worker(steps[0].process) for side in (self.native, self.union)]
        for worker in workers:
            worker.send(sent)
        expected = workers[0].receive()
        try:
            answers = workers[1].receive()
        except Failure:
            self.done += steps
            raise
        for step, (want, compared), (have, _) in zip(steps, expected, answers):
            self.done.append(step)
            # Kernel overlayfs keeps the numbers of a listing when a copy is linked into the directory.
            known = step.op == "dinos" and self.union.kernel
            # Of an immutable directory the kernel sees the type, but on FUSE not the flag.
            known = known or (step.op, want, have) == ("unlink", "EPERM", "EISDIR")
            # The kernel opens a file anew for that, whose old data is passed through to whoever has it open (cli.md).
            stale = step.op in ("getflags", "setflags") and have == "ESTALE"
            known = known or stale and not PASSED.isdisjoint(self.case.options)
            if compared and want != have and not known:
                raise Failure(f"answer to {step.op}", f"{step}\n    native {want[:300]!r}\n    union  {have[:300]!r}")

    def do_special(self, step):
        name = step.op
        if name == "drop_caches":
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as stream:
                stream.write("2")
            return
        self.trees(f"before {name}")
        if name == "crash":
            self.crash(int(step.args[0]), ("", step.args[1], step.args[2:]))
            return
        for side in (self.native, self.union):
            {"remount": side.mount, "kill": side.kill, "turn": side.next_turn}[name]()
        if not STABLE_OVER_REMOUNTS or name == "turn":
            self.inodes = {}
        self.trees(f"after {name}")

    def crash(self, microseconds, step):
        """Kills the driver in the middle of an operation: afterwards it was done, or was not; done it is if the process was told so."""
        self.native.keep()
        before, _ = view(self.native.root)
        done = self.native.single(step)
        after, _ = view(self.native.root)
        told = self.union.crash(microseconds, step)
        union, _ = view(self.union.root)
        if told == done and union != after:
            raise Failure("crash", f"{step[1:]} was answered {told!r}, but not done (- native, + union):\n{differences(after, union)}")
        if union not in (before, after):
            raise Failure("crash", f"{step[1:]} was half done (- before, + union):\n{differences(before, union)}\n  (- done, + union):\n{differences(after, union)}")
        if union != after:
            self.native.back()
        if union == before:
            # Also where nobody can tell whether it was done, as when two directories that are alike change places.
            self.inodes = {}

    def trees(self, when):
        native, _ = view(self.native.root)
        union, inodes = view(self.union.root)
        if "fuse-native" in self.case.options:
            native, union, inodes = without_times(native, ""), without_times(union, ""), {}
        if self.case.kind == "turns" and "metacopy=off" not in self.case.options:
            # The kernel changes the time of a file when it fetches the data of a metacopy.
            native, union = without_times(native), without_times(union)
        if native != union:
            kind = "layers" if when == AT_THE_START else "tree"
            raise Failure(kind, f"the trees differ {when} (- native, + union):\n{differences(native, union)}")
        if self.union.kernel:
            return
        for path, (inode, complaint) in inodes.items():
            if complaint:
                raise Failure("inode", f"{path}: {complaint} ({when})")
            who = identity(os.path.join(self.native.root, path).encode("latin1"))
            before = self.inodes.setdefault(who, inode)
            if before != inode:
                raise Failure("inode", f"{path}: inode number {inode}, before that {before} ({when})")


def without_times(lines, kind="file"):
    """The same, but for the modification times of what is of this kind; of everything if it is empty."""
    return {path: re.sub(r" m[0-9n]\S+", "", line, count=1) if line.startswith(kind) else line for path, line in lines.items()}


def names(root):
    """path -> type, of everything below, in an order of its own."""
    found, queue = {}, [("", os.fsencode(root))]
    while queue:
        prefix, directory = queue.pop()
        with os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = prefix + entry.name.decode("latin1")
                if entry.is_dir(follow_symlinks=False):
                    found[path] = "dir"
                    queue.append((path + "/", entry.path))
                elif entry.is_symlink():
                    found[path] = "link"
                else:
                    mode = entry.stat(follow_symlinks=False).st_mode >> 12
                    found[path] = {1: "fifo", 2: "char", 8: "file", 12: "socket"}.get(mode, "file")
    return found
