import { lstatSync, readdirSync } from "node:fs";

/**
 * How many bytes the regular files of a tree hold, each hard-linked file once: holes, and the data of metacopies, which lie in another layer,
 * do not count. What goes away meanwhile is left out.
 */
export function treeSize(path: Buffer): number {
  const seen = new Set<string>();
  let sum = 0;
  const pending = [path];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const name of namesIn(directory)) {
      const entry = Buffer.concat([directory, Buffer.from("/"), name]);
      const stat = lstatSync(entry, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (stat.isDirectory()) pending.push(entry);
      else if (stat.isFile()) {
        const identity = `${stat.dev}:${stat.ino}`;
        if (stat.nlink > 1 && seen.has(identity)) continue;
        if (stat.nlink > 1) seen.add(identity);
        sum += Math.min(stat.size, stat.blocks * 512);
      }
    }
  }
  return sum;
}

function namesIn(directory: Buffer): Buffer[] {
  try {
    return readdirSync(directory, { encoding: "buffer" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
