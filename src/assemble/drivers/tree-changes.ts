import { errnoName, isAbsent } from "../../errno.js";
import { type EntrySink, readListing } from "../../layer/listing.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { O_DIRECTORY, O_PATH, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { readAttributes } from "../../store/archive/quick-manifest.js";
import { StoreError } from "../../store/error.js";
import { bytesOf, shown } from "../../text.js";
import type { Change } from "../changes.js";

/** Whether an object is certainly the one that it was when the tree was copied: then it is not compared. */
export type IsUntouched = (now: Stat, before: Stat) => boolean;

/**
 * What a tree has other than the tree that it was copied of, sorted by path, a directory before what is in it: by the same rules as `changesOf`. A
 * call for each object of both; of what may have been touched, attributes and content are compared. Throws StoreError.
 */
export function treeChanges(tree: string, base: string, isUntouched: IsUntouched): Change[] {
  const changes: Change[] = [];
  const now = openTree(tree);
  try {
    const before = openTree(base);
    try {
      new TreeComparison(changes, isUntouched).directory(now, before, "");
    } finally {
      native.close(before);
    }
  } finally {
    native.close(now);
  }
  return changes;
}

function openTree(path: string): number {
  const fd = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
  if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
  return fd;
}

function check(result: number, path: string): number {
  if (result < 0) throw new StoreError(`${shown(path)} of a container cannot be compared: ${errnoName(result)}`);
  return result;
}

/** There is no such directory in the other tree. */
const NONE = -1;

class TreeComparison {
  readonly #now = new Stat();
  readonly #before = new Stat();

  constructor(
    private readonly changes: Change[],
    private readonly isUntouched: IsUntouched,
  ) {}

  /** What is in a directory. Returns whether a name was added or deleted right there. */
  directory(now: number, before: number, path: string): boolean {
    let changed = false;
    for (const name of namesIn([now, before], path)) {
      const full = `${path}/${name}`;
      const isThere = this.#stat(now, name, this.#now, full);
      const wasThere = before !== NONE && this.#stat(before, name, this.#before, full);
      // Where a name has gone since it was listed, there is nothing to say.
      if (!isThere && wasThere) this.changes.push({ kind: "D", path: full });
      else if (isThere && !wasThere) this.#added(now, name, full, "A");
      else if (isThere) this.#both(now, before, name, full);
      changed ||= isThere !== wasThere;
    }
    return changed;
  }

  #stat(fd: number, name: string, into: Stat, path: string): boolean {
    const found = native.statx(fd, name, STATX_ALL, into.bytes);
    if (isAbsent(found)) return false;
    check(found, path);
    return true;
  }

  /** All that is below it was added, too. */
  #added(now: number, name: string, path: string, kind: "A" | "C"): void {
    this.changes.push({ kind, path });
    if (this.#now.isDirectory) this.#inside(now, NONE, name, path);
  }

  /** `#now` and `#before` describe them. */
  #both(now: number, before: number, name: string, path: string): void {
    if (this.#now.type !== this.#before.type) {
      this.#added(now, name, path, "C");
      return;
    }
    const differs =
      identity(this.#now) !== identity(this.#before) ||
      (!this.isUntouched(this.#now, this.#before) && this.#differs(now, before, name, path));
    if (!this.#now.isDirectory) {
      if (differs) this.changes.push({ kind: "C", path });
      return;
    }
    const at = this.changes.length;
    if (this.#inside(now, before, name, path) || differs) this.changes.splice(at, 0, { kind: "C", path });
  }

  #inside(now: number, before: number, name: string, path: string): boolean {
    const fd = check(native.openBeneath(now, name, O_PATH | O_DIRECTORY), path);
    const other = before === NONE ? NONE : native.openBeneath(before, name, O_PATH | O_DIRECTORY);
    try {
      if (before !== NONE) check(other, path);
      return this.directory(fd, other, path);
    } finally {
      native.close(fd);
      if (other >= 0) native.close(other);
    }
  }

  /** Whether two objects of one type, and of one identity, are not the same to whoever looks at them. */
  #differs(now: number, before: number, name: string, path: string): boolean {
    if (attributesOf(now, name, path) !== attributesOf(before, name, path)) return true;
    if (this.#now.isSymlink) return linkOf(now, name, path) !== linkOf(before, name, path);
    return this.#now.isRegular && contentDiffers(now, before, name, path);
  }
}

/** What stat(2) tells of an object that a change shows in, but for the change time. */
function identity({ mode, uid, gid, mtime, mtimeNsec, rdevMajor, rdevMinor, isDirectory, nlink, size }: Stat): string {
  return [mode, uid, gid, mtime, mtimeNsec, rdevMajor, rdevMinor, ...(isDirectory ? [] : [nlink, size])].join();
}

function namesIn(directories: readonly number[], path: string): string[] {
  const names = new Set<string>();
  const sink: EntrySink = { entry: (name) => void names.add(name) };
  for (const fd of directories) if (fd !== NONE) check(readListing(fd, sink), path);
  return [...names].sort();
}

function attributesOf(fd: number, name: string, path: string): string {
  const attributes = readAttributes(fd, name) ?? new Map<string, string>();
  if (typeof attributes === "number") check(attributes, path);
  return JSON.stringify([...(attributes as Map<string, string>)].sort());
}

const target = Buffer.alloc(4096);

function linkOf(fd: number, name: string, path: string): string {
  return target.latin1Slice(0, check(native.readlink(fd, name, target), path));
}

const pieces = [Buffer.alloc(256 * 1024), Buffer.alloc(256 * 1024)] as const;

function contentDiffers(now: number, before: number, name: string, path: string): boolean {
  const one = check(native.openBeneath(now, name, O_RDONLY), path);
  const other = native.openBeneath(before, name, O_RDONLY);
  try {
    check(other, path);
    for (let at = 0; ; ) {
      const length = check(native.pread(one, pieces[0], 0, pieces[0].length, at), path);
      const second = check(native.pread(other, pieces[1], 0, pieces[1].length, at), path);
      if (length !== second || pieces[0].compare(pieces[1], 0, second, 0, length) !== 0) return true;
      if (length === 0) return false;
      at += length;
    }
  } finally {
    native.close(one);
    if (other >= 0) native.close(other);
  }
}
