import { randomBytes } from "node:crypto";
import { EOPNOTSUPP, EPERM, errnoName, isAbsent } from "../errno.js";
import { readEntries } from "../layer/listing.js";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  STATX_ALL,
  Stat,
} from "../layer/stat.js";
import {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
} from "../native/constants.js";
import { native } from "../native/index.js";
import { shown } from "../text.js";
import { StoreError } from "./error.js";
import { inSteps } from "./interruption.js";

/** The state of one copy. Names and paths are bytes in latin1 strings. */
export interface Copy {
  /** The root of what is built: hard links are made to paths below it. */
  readonly target: number;
  /** File system and inode of files with several names → the path of the first copy. */
  readonly linked: Map<string, string>;
  /** The target may have things already: see `copyObject`. */
  readonly merge?: MergeOptions;
  /** What an attribute is called in the copy; undefined if it is left out. Without it all are copied as they are. */
  readonly attribute?: (name: string) => string | undefined;
}

/** How objects are copied to where others may be. */
export interface MergeOptions {
  /** Whose the copies are; otherwise the owners are kept. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** The mode of all copies but symbolic links; otherwise the modes are kept. */
  readonly mode?: number;
  /** A directory is also merged with what a symbolic link leads to, if that is a directory of the target, which is the root of such links. */
  readonly followsLinks?: boolean;
  /** Whether what has this path below the source is copied, too; of a directory that is not, nothing is. */
  readonly includes?: (path: string) => boolean;
}

const attributeNames = Buffer.alloc(65536);
const attributeValue = Buffer.alloc(65536);
const linkTarget = Buffer.alloc(4096);

/**
 * Copies what is in a directory into another, empty one, by descriptors, so that no symbolic link is followed: owners, modes, times,
 * attributes, ACLs, holes, hard links, devices. The directories themselves are `copyAttributes`'s. Throws StoreError that names the path; what
 * was copied by then stays.
 */
export async function copyTree(source: number, target: number): Promise<void> {
  await inSteps(copyEntries({ target, linked: new Map() }, source, target, ""));
}

/**
 * Copies an object, and all that is below it, to a name of the directory `target`: what is there is replaced, and directories are merged, those
 * that were there keeping their attributes. A directory does not take the place of something else, nor the other way round. An empty
 * `sourceName` is the object behind `source`, and an empty `name` the directory `target` itself. Throws StoreError.
 */
export async function copyObject(
  source: number,
  sourceName: string,
  target: number,
  name: string,
  options: MergeOptions,
): Promise<void> {
  const copy: Copy = { target, linked: new Map(), merge: options };
  if (name !== "") await inSteps(copyEntry(copy, source, sourceName, target, name, name));
  else {
    const from = must(native.open(source, sourceName, O_PATH | O_DIRECTORY, 0), "open", sourceName);
    try {
      await inSteps(copyEntries(copy, from, target, ""));
    } finally {
      native.close(from);
    }
  }
}

/** Throws for a failure, with the path where it was. */
function must(result: number, what: string, path: string): number {
  if (result < 0) throw new StoreError(`${shown(path) || "."}: ${what}: ${errnoName(result)}`);
  return result;
}

function namesIn(directory: number, path: string): string[] {
  const names: string[] = [];
  const listing = must(native.reopen(directory, O_RDONLY | O_DIRECTORY), "open", path);
  try {
    must(readEntries(listing, { entry: (name) => void names.push(name) }), "list", path);
  } finally {
    native.close(listing);
  }
  return names;
}

/** A directory that is being copied. Not one call in the next: directories may lie deeper in each other than calls can. */
interface Level {
  readonly source: number;
  readonly target: number;
  readonly path: string;
  names: readonly string[];
  /** The first of the names that is not copied yet. */
  next: number;
  /** Gives the copy its attributes, the descriptors being closed. */
  readonly finish: () => void;
}

/** Pauses before each entry. */
function* copyEntries(copy: Copy, source: number, target: number, path: string): Generator<void> {
  for (const name of namesIn(source, path)) {
    const full = path === "" ? name : `${path}/${name}`;
    if (copy.merge?.includes?.(full) !== false) yield* copyEntry(copy, source, name, target, name, full);
  }
}

/** Copies one object, and all that is below it, to a name of `target`, at `path` below the root of what is built. Pauses before each. Throws StoreError. */
export function* copyEntry(
  copy: Copy,
  source: number,
  sourceName: string,
  target: number,
  name: string,
  path: string,
): Generator<void> {
  yield;
  const levels: Level[] = [];
  try {
    copyOne(copy, source, sourceName, target, name, path, levels);
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const next = level.names[level.next++];
      if (next === undefined) {
        leave(levels);
        level.finish();
        continue;
      }
      const full = `${level.path}/${next}`;
      if (copy.merge?.includes?.(full) === false) continue;
      yield;
      copyOne(copy, level.source, next, level.target, next, full, levels);
    }
  } finally {
    while (levels.length > 0) leave(levels);
  }
}

function leave(levels: Level[]): void {
  const level = levels.pop();
  if (level === undefined) return;
  if (level.target >= 0) native.close(level.target);
  native.close(level.source);
}

/** Copies one object; of a directory, what is in it comes next. */
function copyOne(
  copy: Copy,
  source: number,
  sourceName: string,
  target: number,
  name: string,
  path: string,
  levels: Level[],
): void {
  const stat = new Stat();
  must(native.statx(source, sourceName, STATX_ALL, stat.bytes), "stat", path);
  const type = stat.mode & S_IFMT;
  const isThere = copy.merge !== undefined && isMerged(copy, target, name, path, type === S_IFDIR);
  if (type === S_IFDIR) {
    enterDirectory(copy, source, sourceName, target, name, path, stat, isThere, levels);
    return;
  }
  const key = `${stat.devMajor}:${stat.devMinor}:${stat.inoHigh}:${stat.inoLow}`;
  const first = stat.nlink > 1 ? copy.linked.get(key) : undefined;
  const make = (as: string): void => makeObject(copy, source, sourceName, target, as, path, stat, first);
  if (copy.merge === undefined) make(name);
  else replace(target, name, path, make);
  if (stat.nlink > 1 && first === undefined) copy.linked.set(key, path);
}

/** Puts what `make` makes in the place of what is there, if anything: that stays until the new one is whole, and nothing is left of one that fails. */
function replace(target: number, name: string, path: string, make: (as: string) => void): void {
  const temporary = `.cowfs-${randomBytes(8).toString("hex")}`;
  try {
    make(temporary);
    must(native.rename(target, temporary, target, name, 0), "replace", path);
    // Of two names of one file, which a link to one that is there already makes, rename(2) leaves both.
    const left = native.unlink(target, temporary, 0);
    if (!isAbsent(left)) must(left, "replace", path);
  } catch (error) {
    native.unlink(target, temporary, 0);
    throw error;
  }
}

/** Makes a copy of an object that is no directory, under a name that is free; `first` is the path of another copy, to be linked to. */
function makeObject(
  copy: Copy,
  source: number,
  sourceName: string,
  target: number,
  name: string,
  path: string,
  stat: Stat,
  first: string | undefined,
): void {
  const { uid, gid } = copy.merge?.owner ?? stat;
  const type = stat.mode & S_IFMT;
  if (first !== undefined) {
    linkCopy(copy, first, target, name, path);
    return;
  }
  if (type === S_IFREG) copyFile(copy, source, sourceName, target, name, path, stat);
  else if (type === S_IFLNK) {
    const length = must(native.readlink(source, sourceName, linkTarget), "readlink", path);
    must(native.symlinkAs(linkTarget.latin1Slice(0, length), target, name, uid, gid), "symlink", path);
  } else if ([S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK].includes(type)) {
    const made = native.mknodAs(target, name, type | 0o600, stat.rdevMajor, stat.rdevMinor, uid, gid);
    must(made, "mknod", path);
  } else throw new StoreError(`${shown(path)}: it is of an unknown type`);
  copyAttributesAt(copy, source, sourceName, target, name, stat, path);
}

/** Gives the copy at `first` another name. */
function linkCopy(copy: Copy, first: string, target: number, name: string, path: string): void {
  if (copy.merge?.followsLinks !== true) {
    must(native.link(copy.target, first, target, name), "link", path);
    return;
  }
  const fd = must(native.openInRoot(copy.target, first, O_PATH | O_NOFOLLOW), "open", first);
  try {
    must(native.link(fd, "", target, name), "link", path);
  } finally {
    native.close(fd);
  }
}

/** Whether a directory is there that another one is to be merged into. Throws StoreError if a directory would take another's place, or another one its. */
function isMerged(copy: Copy, target: number, name: string, path: string, isDirectory: boolean): boolean {
  const there = new Stat();
  const found = native.statx(target, name, STATX_ALL, there.bytes);
  if (isAbsent(found)) return false;
  must(found, "stat", path);
  if (isDirectory && !there.isDirectory && copy.merge?.followsLinks === true) {
    const behind = native.openInRoot(copy.target, path, O_PATH | O_DIRECTORY);
    if (behind >= 0) native.close(behind);
    if (behind >= 0) return true;
  }
  if (there.isDirectory === isDirectory) return isDirectory;
  const what = isDirectory ? "a directory cannot replace what is there" : "a directory is there";
  throw new StoreError(`${shown(path)}: ${what}`);
}

function enterDirectory(
  copy: Copy,
  source: number,
  sourceName: string,
  target: number,
  name: string,
  path: string,
  stat: Stat,
  isThere: boolean,
  levels: Level[],
): void {
  const { uid, gid } = copy.merge?.owner ?? stat;
  if (!isThere) must(native.mkdirAs(target, name, 0o700, uid, gid), "mkdir", path);
  const from = must(native.open(source, sourceName, O_PATH | O_DIRECTORY, 0), "open", path);
  const mayBeLink = isThere && copy.merge?.followsLinks === true;
  const to = mayBeLink
    ? native.openInRoot(copy.target, path, O_PATH | O_DIRECTORY)
    : native.open(target, name, O_PATH | O_DIRECTORY, 0);
  // Last, since entries that are made change the times.
  const finish = (): void => {
    if (!isThere) copyAttributesAt(copy, source, sourceName, target, name, stat, path);
  };
  const level: Level = { source: from, target: to, path, names: [], next: 0, finish };
  levels.push(level);
  must(to, "open", path);
  level.names = namesIn(from, path);
}

function copyFile(
  copy: Copy,
  source: number,
  sourceName: string,
  target: number,
  name: string,
  path: string,
  stat: Stat,
): void {
  const { uid, gid } = copy.merge?.owner ?? stat;
  let input = native.open(source, sourceName, O_RDONLY | O_NONBLOCK | O_NOATIME, 0);
  // Only whom it belongs to may read a file so that nobody sees it.
  if (input === -EPERM) input = native.open(source, sourceName, O_RDONLY | O_NONBLOCK, 0);
  must(input, "open", path);
  try {
    const flags = O_CREAT | O_EXCL | O_WRONLY;
    const output = must(native.openAs(target, name, flags, 0o600, uid, gid), "create", path);
    const copied = native.copyData(input, output, stat.size);
    must(Math.min(copied, native.close(output)), "write", path);
  } finally {
    native.close(input);
  }
}

/** Owner, mode, extended attributes (ACLs and capabilities are such), times. */
export function copyAttributesAt(
  { merge, attribute: nameOf = (name) => name }: Pick<Copy, "merge" | "attribute">,
  source: number,
  sourceName: string,
  target: number,
  name: string,
  stat: Stat,
  path: string,
): void {
  const { uid, gid } = merge?.owner ?? stat;
  // chown(2) takes capabilities and set-id bits away, so it is the first.
  must(native.chown(target, name, uid, gid), "chown", path);
  if ((stat.mode & S_IFMT) !== S_IFLNK)
    must(native.chmod(target, name, merge?.mode ?? stat.mode & 0o7777), "chmod", path);
  const length = must(native.listxattr(source, sourceName, attributeNames), "list attributes", path);
  for (const attribute of attributeNames.latin1Slice(0, length).split("\0").slice(0, -1)) {
    // Elsewhere they would be those of another union.
    if (merge !== undefined && attribute.startsWith("trusted.")) continue;
    const size = must(native.getxattr(source, sourceName, attribute, attributeValue), attribute, path);
    const newName = nameOf(attribute);
    if (newName === undefined) continue;
    const set = native.setxattr(target, name, newName, attributeValue.subarray(0, size), 0);
    if (merge === undefined || set !== -EOPNOTSUPP) must(set, attribute, path);
  }
  must(native.utimens(target, name, stat.atime, stat.atimeNsec, stat.mtime, stat.mtimeNsec), "set the times", path);
}

/** The attributes of a directory as they are now. Throws StoreError. */
export function statDirectory(fd: number): Stat {
  const stat = new Stat();
  must(native.statx(fd, "", STATX_ALL, stat.bytes), "stat", "");
  return stat;
}

/** Gives a directory the owner, mode, attributes and times of another, which `stat` describes, or what `merge` says. Throws StoreError. */
export function copyAttributes(
  source: number,
  target: number,
  stat = statDirectory(source),
  merge?: MergeOptions,
): void {
  copyAttributesAt(merge === undefined ? {} : { merge }, source, "", target, "", stat, "");
}
