/** What only the drivers know: messages of a workload, time per request in the driver, memory. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeBigTree, regularFiles } from "./layers.mjs";
import { Place } from "./place.mjs";

const clientProgram = new URL("client.mjs", import.meta.url).pathname;
const treeFiles = 100_000;
const openFiles = 10_000;

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
 * Walks a tree of 100,000 files: resident memory before, after two walks, with 10,000 files open; and, in a mount of its
 * own, the time the driver needs for a LOOKUP when each file is looked up by its path.
 */
export async function inspect(base, drivers, say) {
  const tree = join(base, "tree");
  say(`a tree of ${treeFiles} files`);
  makeBigTree(tree, treeFiles);
  const files = regularFiles(tree);
  const list = join(base, "tree.list");
  writeFileSync(list, files.join("\n"));
  const results = {};
  for (const driver of drivers.filter(({ name }) => name === "fuse-overlayfs" || name === "cowfs")) {
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
    if (driver.name === "cowfs") {
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
