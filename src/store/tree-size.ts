import { ELOOP, ENOTDIR, errnoName, isAbsent } from "../errno.js";
import { type EntrySink, readListing } from "../layer/listing.js";
import { openBelow } from "../layer/long-path.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, DT_REG, DT_UNKNOWN, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { bytesOf, shown } from "../text.js";
import { StoreError } from "./error.js";

/** The bytes that regular files hold, each hard-linked file once: holes, and the data of metacopies, which lie in another layer, do not count. */
export class SizeSum {
  readonly #stat = new Stat();
  readonly #seen = new Set<string>();
  #sum = 0;

  get bytes(): number {
    return this.#sum;
  }

  /** Adds an object of a directory, if it is a file, and returns whether it is a directory. What has gone adds nothing. Throws StoreError. */
  add(directory: number, name: string, path: string): boolean {
    const stat = this.#stat;
    const found = native.statx(directory, name, STATX_ALL, stat.bytes);
    if (isGone(found)) return false;
    if (found < 0) throw new StoreError(`${shown(path)} cannot be looked at: ${errnoName(found)}`);
    if (stat.isRegular && this.#isFirst()) this.#sum += Math.min(stat.size, stat.blocks * 512);
    return stat.isDirectory;
  }

  #isFirst(): boolean {
    const { nlink, devMajor, devMinor, inoHigh, inoLow } = this.#stat;
    if (nlink === 1) return true;
    const count = this.#seen.size;
    return this.#seen.add(`${devMajor}:${devMinor}:${inoHigh}:${inoLow}`).size > count;
  }
}

/** Whether a name has gone, or become something else, since it was listed. */
export function isGone(result: number): boolean {
  return isAbsent(result) || result === -ENOTDIR || result === -ELOOP;
}

/** How many bytes the files of a tree hold; none if there is no tree. What goes away meanwhile is left out. Throws StoreError. */
export function treeSize(path: string): number {
  const root = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
  if (isAbsent(root)) return 0;
  if (root < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(root)}`);
  const sum = new SizeSum();
  try {
    const pending = [""];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      for (const name of addDirectory(root, at, sum)) pending.push(at === "" ? name : `${at}/${name}`);
    }
  } finally {
    native.close(root);
  }
  return sum.bytes;
}

/** Adds the files of one directory. Returns the names of its directories. */
function addDirectory(root: number, path: string, sum: SizeSum): string[] {
  const fd = openBelow(root, path, O_PATH | O_DIRECTORY);
  if (isGone(fd)) return [];
  const check = (result: number): void => {
    if (result < 0) throw new StoreError(`${shown(path)} cannot be listed: ${errnoName(result)}`);
  };
  check(fd);
  const directories: string[] = [];
  const files: string[] = [];
  const sink: EntrySink = {
    entry(name, type) {
      if (type === DT_DIR) directories.push(name);
      else if (type === DT_REG || type === DT_UNKNOWN) files.push(name);
    },
  };
  try {
    const listed = readListing(fd, sink);
    if (!isGone(listed)) check(listed);
    for (const name of files) if (sum.add(fd, name, `${path}/${name}`)) directories.push(name);
  } finally {
    native.close(fd);
  }
  return directories;
}
