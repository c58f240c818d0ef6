import { EISDIR, errnoName, isAbsent } from "../errno.js";
import { hiddenName } from "../layer/hidden-name.js";
import { type EntrySink, readListing } from "../layer/listing.js";
import { type DirectoryMarks, HAS_METACOPY, readMarks, readObjectMarks } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_REMOVEDIR, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { bytesOf, shown } from "../text.js";
import { archivedAttribute } from "./archive/layer-names.js";
import { ofMachine } from "./archive/layer-tar.js";
import { type Copy, copyAttributesAt, copyEntry } from "./copy-tree.js";
import { StoreError } from "./error.js";
import { inSteps } from "./interruption.js";

/**
 * Puts a layer of an image onto a plain tree, which then is what a union of the two would show: whiteouts and opaque directories take away what the
 * tree has, and no mark comes into it. An opaque root is the caller's to see to. Throws StoreError; the tree is of no use then.
 */
export async function applyLayer(layer: string, tree: string): Promise<void> {
  const open = (path: string): number => {
    const fd = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
    if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
    return fd;
  };
  const from = open(layer);
  try {
    const to = open(tree);
    try {
      await inSteps(new Application(to).tree(from, to));
    } finally {
      native.close(to);
    }
  } finally {
    native.close(from);
  }
}

const names = Buffer.alloc(64 * 1024);

/** A directory of the layer that is being unpacked. */
interface Level {
  readonly from: number;
  readonly to: number;
  readonly path: string;
  names: readonly string[];
  /** The first of the names that is not unpacked yet. */
  next: number;
}

class Application {
  readonly #stat = new Stat();
  readonly #copy: Copy;
  readonly #levels: Level[] = [];

  constructor(target: number) {
    this.#copy = { target, linked: new Map(), attribute: archivedAttribute };
  }

  /**
   * What is in the directory `from` of the layer goes to the directory `to`, which takes its attributes last: not one call in the next, since directories
   * may lie deeper in each other than calls can.
   */
  *tree(from: number, to: number): Generator<void> {
    this.#enter(from, to, "");
    try {
      for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
        const name = level.names[level.next++];
        if (name !== undefined) {
          yield* this.#object(level, name, level.path === "" ? name : `${level.path}/${name}`);
          continue;
        }
        this.#attributes(level.from, level.to, level.path);
        this.#leave();
      }
    } finally {
      while (this.#levels.length > 0) this.#leave();
    }
  }

  #leave(): void {
    const level = this.#levels.pop();
    // The roots are the caller's.
    if (level === undefined || this.#levels.length === 0) return;
    native.close(level.from);
    if (level.to >= 0) native.close(level.to);
  }

  /** What the layer hides in a directory goes; its objects come next. */
  #enter(from: number, to: number, path: string): void {
    const level: Level = { from, to, path, names: [], next: 0 };
    this.#levels.push(level);
    check(to, path);
    const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, redirect: null, byUser: false };
    check(readMarks(from, "", false, marks), path);
    if (marks.redirect !== null) throw new StoreError(`${shown(path)} in a layer was renamed: it is not whole`);
    if (marks.opaque && path !== "") for (const name of namesIn(to, path)) remove(to, name, path);
    const objects: string[] = [];
    for (const name of namesIn(from, path)) {
      check(native.statx(from, name, STATX_ALL, this.#stat.bytes), `${path}/${name}`);
      const hidden = hiddenName(from, name, this.#stat, marks.xattrWhiteouts);
      if (typeof hidden === "number") check(hidden, `${path}/${name}`);
      else if (hidden === undefined) objects.push(name);
      else if (hidden !== null) remove(to, hidden, path);
    }
    level.names = objects;
  }

  *#object({ from, to }: Level, name: string, path: string): Generator<void> {
    check(native.statx(from, name, STATX_ALL, this.#stat.bytes), path);
    if (!this.#stat.isDirectory) {
      if (this.#stat.isRegular && (check(readObjectMarks(from, name), path) & HAS_METACOPY) !== 0) {
        throw new StoreError(`${shown(path)} in a layer has its data elsewhere: it is not whole`);
      }
      remove(to, name, path);
      yield* copyEntry(this.#copy, from, name, to, name, path);
      return;
    }
    const there = native.statx(to, name, STATX_ALL, this.#stat.bytes);
    if (!isAbsent(there)) check(there, path);
    if (there === 0 && !this.#stat.isDirectory) remove(to, name, path);
    if (there < 0 || !this.#stat.isDirectory) check(native.mkdirAs(to, name, 0o700, 0, 0), path);
    const source = check(native.openBeneath(from, name, O_PATH | O_DIRECTORY), path);
    this.#enter(source, native.openBeneath(to, name, O_PATH | O_DIRECTORY), path);
  }

  /** Those of the layer alone: what the directory had from another one goes. */
  #attributes(from: number, to: number, path: string): void {
    const length = check(native.listxattr(to, "", names), path);
    for (const attribute of names.latin1Slice(0, length).split("\0").slice(0, -1)) {
      if (!ofMachine.has(attribute)) check(native.removexattr(to, "", attribute), path);
    }
    check(native.statx(from, "", STATX_ALL, this.#stat.bytes), path);
    copyAttributesAt(this.#copy, from, "", to, "", this.#stat, path);
  }
}

function check(result: number, path: string): number {
  if (result < 0) throw new StoreError(`${shown(path) || "/"} of a layer cannot be unpacked: ${errnoName(result)}`);
  return result;
}

function namesIn(fd: number, path: string): string[] {
  const found: string[] = [];
  const sink: EntrySink = { entry: (name) => void found.push(name) };
  check(readListing(fd, sink), path);
  return found;
}

/** Removes what a directory has under a name, with all that is in it; nothing is no error. */
function remove(directory: number, name: string, path: string): void {
  if (removeOne(directory, name, path)) return;
  const levels: Removal[] = [];
  const enter = (above: number, inner: string, full: string): void => {
    const fd = check(native.openBeneath(above, inner, O_PATH | O_DIRECTORY), full);
    levels.push({ above, fd, name: inner, path: full, names: [], next: 0 });
    (levels.at(-1) as Removal).names = namesIn(fd, full);
  };
  try {
    enter(directory, name, `${path}/${name}`);
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const inner = level.names[level.next++];
      if (inner !== undefined) {
        if (!removeOne(level.fd, inner, level.path)) enter(level.fd, inner, `${level.path}/${inner}`);
        continue;
      }
      levels.pop();
      native.close(level.fd);
      check(native.unlink(level.above, level.name, AT_REMOVEDIR), level.path);
    }
  } finally {
    for (const { fd } of levels) native.close(fd);
  }
}

/** A directory that is being removed: not one call in the next, since directories may lie deeper in each other than calls can. */
interface Removal {
  readonly above: number;
  readonly fd: number;
  readonly name: string;
  readonly path: string;
  names: readonly string[];
  /** The first of the names that is not removed yet. */
  next: number;
}

/** Returns false for a directory, which stays. */
function removeOne(directory: number, name: string, path: string): boolean {
  const unlinked = native.unlink(directory, name, 0);
  if (unlinked === -EISDIR) return false;
  if (unlinked < 0 && !isAbsent(unlinked)) check(unlinked, `${path}/${name}`);
  return true;
}
