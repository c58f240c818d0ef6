/** Lookups answered by the driver while it knows a million nodes: how long they take, and how long it pauses. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run, waitFor } from "../drivers.mjs";
import { makeBigTree } from "../layers.mjs";
import { mega, verdict } from "../lines.mjs";
import { settle } from "../messages.mjs";
import { Place } from "../place.mjs";

const watchProgram = new URL("../gc-watch.cjs", import.meta.url).pathname;

/** What the watcher in the driver saw since it was last asked; undefined where it was not loaded. */
function pauses(driver, file) {
  const lines = () => (existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : []);
  const caught = /^SigCgt:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${driver.pid}/status`, "utf8"));
  const usr2 = 12n;
  if (caught === null || ((BigInt(`0x${caught[1]}`) >> (usr2 - 1n)) & 1n) === 0n) return undefined;
  const before = lines().length;
  process.kill(driver.pid, "SIGUSR2");
  waitFor("the driver should say how long it paused", () => lines().length > before);
  return JSON.parse(lines().at(-1));
}

/** Mounts a driver with the watcher in it. The kernel must trust nothing, or it would answer by itself. */
function mountWatched(driver, place, file) {
  process.env.NODE_OPTIONS = `--require ${watchProgram}`;
  process.env.COWFS_BENCH_WATCH = file;
  driver.options.push("-o", "timeout=0");
  try {
    place.mount();
  } finally {
    driver.options.length -= 2;
    delete process.env.NODE_OPTIONS;
    delete process.env.COWFS_BENCH_WATCH;
  }
}

/**
 * `count` files on a RAM disk, all known to the driver after a walk, and then looked up once each. Returns microseconds as
 * the client and the driver saw them, pauses in milliseconds, and the bytes that a node takes.
 */
export function measureMillion(base, driver, count, say) {
  const disk = join(base, "ram");
  const file = join(base, "watch");
  mkdirSync(disk);
  run("mount", ["-t", "tmpfs", "-o", "nr_inodes=0,size=90%", "tmpfs", disk]);
  try {
    say(`a tree of ${count} files in memory`);
    const tree = join(disk, "tree");
    makeBigTree(tree, count, "");
    const place = new Place(driver, { layers: [tree], scratch: base });
    driver.clear();
    appendFileSync(file, "");
    mountWatched(driver, place, file);
    const start = driver.residentBytes();
    say("a walk over it");
    place.shell("find . -size 1 > /dev/null");
    settle(driver);
    const known = driver.residentBytes();
    pauses(driver, file);
    const before = driver.status();
    say(`${count} lookups`);
    const client = place.distribution("revalidate", place.root, count);
    const pause = pauses(driver, file);
    const after = driver.status();
    const lookups = after.requests.LOOKUP.requests - (before.requests.LOOKUP?.requests ?? 0);
    const result = { count, nodes: after.union.nodes, lookups, client, driver: after.requests.LOOKUP, pause };
    return { ...result, memory: { start, known } };
  } finally {
    driver.clear();
    run("umount", [disk]);
    rmSync(disk, { recursive: true });
  }
}

const pauseBar = 5;

export function millionLines({ count, nodes, lookups, client, driver, pause, memory }) {
  const list = ({ p50, p99, p999, max }) => `${p50} p50, ${p99} p99, ${p999} p99.9, ${max} max`;
  const lines = [
    `cowfs: ${lookups} lookups of ${count} files with ${nodes} nodes known, µs: ${list(client)} for the client (with a GETATTR of the directory each), ${list(driver)} in the driver (every sixteenth)`,
    `cowfs: ${((memory.known - memory.start) / count).toFixed(0)} bytes a node with its name, from ${mega(memory.start)} to ${mega(memory.known)} resident`,
  ];
  if (nodes < count)
    lines.push("cowfs: fewer are known than there are: somebody dropped the kernel's caches; measure again");
  if (pause === undefined)
    return [...lines, "cowfs: pauses are not known: the watcher could not be loaded into the driver"];
  const { collections, total, longest, latest } = pause;
  return [
    ...lines,
    `cowfs: ${collections} garbage collections in that time, ${total.toFixed(0)} ms in all; the event loop was late by ${latest.toFixed(1)} ms at most`,
    verdict(longest <= pauseBar, `the longest pause for garbage is ${longest.toFixed(1)} ms (bar: ${pauseBar})`),
  ];
}
