/** What only the drivers know: messages of a workload, time per request in the driver, memory. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeBigTree, regularFiles } from "../layers.mjs";
import { mega, verdict } from "../lines.mjs";
import { Place } from "../place.mjs";

const clientProgram = new URL("../client.mjs", import.meta.url).pathname;
const mostOpen = 10_000;

/** Runs `act` while a client holds the first `count` files of the list open. */
async function whileOpen(place, count, act) {
  const args = [clientProgram, "hold", place.root, place.lists.all, String(count)];
  const client = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => client.once("exit", resolve));
  const answered = await Promise.race([new Promise((resolve) => client.stdout.once("data", resolve)), ended]);
  try {
    if (typeof answered === "number") throw new Error("the client that holds files open has ended");
    return act();
  } finally {
    client.stdin.end();
    await ended;
  }
}

/**
 * Walks a tree of so many files: resident memory before, after two walks, with 10,000 files open; and, in a mount of its
 * own, the time the driver needs for a LOOKUP when each file is looked up by its path.
 */
export async function inspect(base, drivers, treeFiles, say) {
  const tree = join(base, "tree");
  say(`a tree of ${treeFiles} files`);
  makeBigTree(tree, treeFiles, "x");
  const files = regularFiles(tree);
  const list = join(base, "tree.list");
  writeFileSync(list, files.join("\n"));
  const openFiles = Math.min(mostOpen, treeFiles);
  const results = {};
  for (const driver of drivers.filter(({ name, counts }) => name === "fuse-overlayfs" || counts)) {
    say(`memory of ${driver.name}`);
    const place = new Place(driver, { layers: [tree], lists: { all: list }, files, scratch: base });
    driver.clear();
    place.mount();
    const memory = { start: driver.residentBytes() };
    place.shell("find . -ls > /dev/null");
    memory.walked = driver.residentBytes();
    place.shell("find . -ls > /dev/null");
    memory.walkedTwice = driver.residentBytes();
    await whileOpen(place, openFiles, () => {
      memory.open = driver.residentBytes();
    });
    const result = { memory, files: files.length, openFiles };
    if (driver.counts) {
      result.union = driver.status().union;
      driver.clear();
      place.mount();
      place.client("stat", place.root, list, files.length);
      const status = driver.status();
      result.latency = status.requests;
      memory.lookedUp = driver.residentBytes();
    }
    results[driver.name] = result;
    driver.clear();
  }
  return results;
}

const latencyBar = 20;
const memoryBar = 90e6;

export function walkLines(results) {
  const lines = [];
  for (const [name, { memory, files, openFiles, latency }] of Object.entries(results)) {
    const perFile = (memory.walkedTwice - memory.start) / files;
    const perOpen = (memory.open - memory.walkedTwice) / openFiles;
    lines.push(
      `${name}: resident ${mega(memory.start)} at first, ${mega(memory.walked)} after find -ls over ${files} files, ${mega(memory.walkedTwice)} after ` +
        `the second, ${mega(memory.open)} with ${openFiles} of them open; ${perFile.toFixed(0)} bytes a known file, ${perOpen.toFixed(0)} an open one`,
    );
    if (latency === undefined) continue;
    for (const [opcode, { requests, p50, p99 }] of Object.entries(latency)) {
      if (requests > 1000)
        lines.push(`${name}: ${opcode} handled in ${p50} µs p50, ${p99} µs p99 (${requests} requests)`);
    }
    const p50 = latency.LOOKUP?.p50 ?? Number.NaN;
    lines.push(verdict(p50 < latencyBar, `${name}: a LOOKUP is handled in ${p50} µs p50 (bar: ${latencyBar})`));
    const walked = `${(memory.walkedTwice / 1e6).toFixed(1)} MB resident after walking ${files} files`;
    lines.push(verdict(memory.walkedTwice < memoryBar, `${name}: ${walked} (bar: ${memoryBar / 1e6})`));
  }
  return lines;
}
