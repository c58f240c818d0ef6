import { errnoName } from "../../errno.js";
import { type EntrySink, readListing } from "../../layer/listing.js";
import { isNoAttribute } from "../../layer/marks.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { O_DIRECTORY, O_NOATIME, O_NONBLOCK, O_PATH, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { ofMachine } from "../../store/archive/layer-tar.js";
import { readAttributes } from "../../store/archive/quick-manifest.js";
import { StoreError } from "../../store/error.js";
import { isGone } from "../../store/tree-size.js";
import { bytesOf, shown } from "../../text.js";
import type { Change } from "../changes.js";

/** Whether an object is certainly the one that it was when the tree was copied: then it is not compared. */
export type IsUntouched = (now: Stat, before: Stat) => boolean;

/**
 * What a tree has other than the tree that it was copied of, sorted by path, a directory before what is in it: by the same rules as `changesOf`. A
 * call for each object of both; of what may have been touched, attributes and content are compared. The tree may be in use: what goes away meanwhile
 * counts as deleted. Throws StoreError.
 */
export function treeChanges(tree: string, base: string, isUntouched: IsUntouched): Change[] {
  const now = openTree(tree);
  try {
    const before = openTree(base);
    try {
      return new TreeComparison(isUntouched).run(now, before);
    } finally {
      native.close(before);
    }
  } finally {
    native.close(now);
  }
}

/** Throws StoreError. */
export function openTree(path: string): number {
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

/** A directory whose entries are being compared. */
interface Level {
  readonly now: number;
  readonly before: number;
  readonly path: string;
  readonly names: readonly string[];
  /** The first of the names that is not compared yet. */
  next: number;
  /** What is said of the directory itself; not said unless `isChanged`. */
  readonly own: { kind: Change["kind"] | undefined; readonly path: string };
}

class TreeComparison {
  readonly #now = new Stat();
  readonly #before = new Stat();
  /** What has no kind is no change. */
  readonly #found: { kind: Change["kind"] | undefined; readonly path: string }[] = [];
  /** From the root to where the comparison is: directories may lie deeper in each other than calls can. */
  readonly #levels: Level[] = [];

  constructor(private readonly isUntouched: IsUntouched) {}

  run(now: number, before: number): Change[] {
    const own = { kind: undefined, path: "" };
    this.#levels.push({ now, before, path: "", names: namesIn([now, before], ""), next: 0, own });
    try {
      for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
        const name = level.names[level.next++];
        if (name !== undefined) this.#compare(level, name);
        else this.#leave();
      }
    } finally {
      while (this.#levels.length > 0) this.#leave();
    }
    return this.#found.filter((one): one is Change => one.kind !== undefined);
  }

  #leave(): void {
    const level = this.#levels.pop();
    // The roots are the caller's.
    if (level === undefined || this.#levels.length === 0) return;
    native.close(level.now);
    if (level.before !== NONE) native.close(level.before);
  }

  #compare(level: Level, name: string): void {
    const { now, before, path, own } = level;
    const full = `${path}/${name}`;
    const isThere = stat(now, name, this.#now, full);
    const wasThere = before !== NONE && stat(before, name, this.#before, full);
    // A directory in which a name was added or deleted has changed.
    if (isThere !== wasThere) own.kind ??= "C";
    if (isThere && wasThere) this.#both(level, name, full);
    else if (isThere) this.#added(level, name, full, "A");
    // Where a name has gone since it was listed, there is nothing to say.
    else if (wasThere) this.#found.push({ kind: "D", path: full });
  }

  /** All that is below it was added, too. */
  #added(level: Level, name: string, path: string, kind: "A" | "C"): void {
    const own = { kind, path };
    this.#found.push(own);
    if (this.#now.isDirectory) this.#enter(level, name, own, false);
  }

  /** `#now` and `#before` describe them. */
  #both(level: Level, name: string, path: string): void {
    if (this.#now.type !== this.#before.type) {
      this.#added(level, name, path, "C");
      return;
    }
    const differs =
      identity(this.#now) !== identity(this.#before) ||
      (!this.isUntouched(this.#now, this.#before) && this.#differs(level, name, path));
    const own: Level["own"] = { kind: differs ? "C" : undefined, path };
    this.#found.push(own);
    if (this.#now.isDirectory) this.#enter(level, name, own, true);
  }

  /** What is in a directory comes next. */
  #enter({ now, before }: Level, name: string, own: Level["own"], isInBoth: boolean): void {
    const { path } = own;
    const fd = native.openBeneath(now, name, O_PATH | O_DIRECTORY);
    if (isGone(fd)) {
      own.kind = isInBoth ? "D" : undefined;
      return;
    }
    check(fd, path);
    const other = isInBoth ? native.openBeneath(before, name, O_PATH | O_DIRECTORY) : NONE;
    const level = { now: fd, before: other, path, names: [] as string[], next: 0, own };
    this.#levels.push(level);
    if (isInBoth) check(other, path);
    level.names = namesIn([fd, other], path);
  }

  /** Whether two objects of one type, and of one identity, are not the same to whoever looks at them. */
  #differs({ now, before }: Level, name: string, path: string): boolean {
    if (attributesOf(now, name, path) !== attributesOf(before, name, path)) return true;
    if (this.#now.isSymlink) return linkOf(now, name, path) !== linkOf(before, name, path);
    return this.#now.isRegular && contentDiffers(now, before, name, path);
  }
}

function stat(fd: number, name: string, into: Stat, path: string): boolean {
  const found = native.statx(fd, name, STATX_ALL, into.bytes);
  if (isGone(found)) return false;
  check(found, path);
  return true;
}

/** What stat(2) tells of an object that a change shows in, but for the change time. */
function identity({ mode, uid, gid, mtime, mtimeNsec, rdevMajor, rdevMinor, isDirectory, nlink, size }: Stat): string {
  return [mode, uid, gid, mtime, mtimeNsec, rdevMajor, rdevMinor, ...(isDirectory ? [] : [nlink, size])].join();
}

function namesIn(directories: readonly number[], path: string): string[] {
  const names = new Set<string>();
  const sink: EntrySink = { entry: (name) => void names.add(name) };
  for (const fd of directories) {
    const listed = fd === NONE ? 0 : readListing(fd, sink);
    if (!isGone(listed)) check(listed, path);
  }
  return [...names].sort();
}

/** All of them, marks of union file systems too, which mean nothing here; "gone" if the object is. */
function attributesOf(fd: number, name: string, path: string): string {
  const attributes = readAttributes(fd, name, (attribute) => !ofMachine.has(attribute)) ?? new Map<string, string>();
  if (typeof attributes !== "number") return JSON.stringify([...attributes].sort());
  if (!isGone(attributes) && !isNoAttribute(attributes)) check(attributes, path);
  return "gone";
}

const target = Buffer.alloc(4096);

function linkOf(fd: number, name: string, path: string): string | undefined {
  const length = native.readlink(fd, name, target);
  return isGone(length) ? undefined : target.latin1Slice(0, check(length, path));
}

const pieces = [Buffer.alloc(256 * 1024), Buffer.alloc(256 * 1024)] as const;

/** Leaves the times of both files as they are. */
function contentDiffers(now: number, before: number, name: string, path: string): boolean {
  const flags = O_RDONLY | O_NONBLOCK | O_NOATIME;
  const one = native.openBeneath(now, name, flags);
  if (isGone(one)) return true;
  check(one, path);
  const other = native.openBeneath(before, name, flags);
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
