import { errnoName, isAbsent } from "../errno.js";
import { hiddenName } from "../layer/hidden-name.js";
import { type EntrySink, readListing } from "../layer/listing.js";
import { classifyMarkedName, type DirectoryMarks, NAME_WHITEOUT, readMarks, WHITEOUT_PREFIX } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { StoreError } from "../store/error.js";
import { shown } from "../text.js";
import type { LinkedName } from "./linked-names.js";
import { bytes } from "./root-view.js";

/** Added, changed or deleted, and the path as bytes in a latin1 string, absolute. */
export interface Change {
  readonly kind: "A" | "C" | "D";
  readonly path: string;
}

/** What a name is in one layer. */
const ABSENT = 0;
/** It hides the name below, and shows nothing. */
const WHITEOUT = 1;
const OBJECT = 2;

/** A directory of one layer. Descriptors are closed by whoever opened it. */
interface Part {
  readonly fd: number;
  readonly marks: DirectoryMarks;
}

/** A directory of the image, its parts in the layers from the top; none if the image has no such directory. */
type Parts = readonly Part[];

/**
 * What a writable layer changes of the layers below it (top first), sorted by path, a directory before what is in it. The upper is walked, and of
 * the layers only the names are asked that it mentions; only of a directory that was made anew in the place of another the old names are listed.
 * `linked` are names that show a change and are not in the upper. Throws StoreError.
 */
export function changesOf(upper: string, lowers: readonly string[], linked: readonly LinkedName[] = []): Change[] {
  const changes = withLayers(upper, lowers, (top, below) => new Comparison().run(top, below));
  if (linked.length === 0) return changes;
  const byNames = (path: string): string => path.replaceAll("/", "\0");
  const all = [...changes, ...linked.map(({ path }): Change => ({ kind: "C", path }))];
  return all.sort((a, b) => (byNames(a.path) < byNames(b.path) ? -1 : 1));
}

/** Those of the names that show: which the upper neither has nor hides, and no layer above covers. Throws StoreError. */
export function shownNames(upper: string, lowers: readonly string[], linked: readonly LinkedName[]): LinkedName[] {
  if (linked.length === 0) return [];
  return withLayers(upper, lowers, (top, below) => {
    const comparison = new Comparison();
    return linked.filter(({ path, inode }) => comparison.inodeBelow(top, below, path) === inode);
  });
}

function withLayers<T>(upper: string, lowers: readonly string[], work: (upper: Part, below: Parts) => T): T {
  const opened: number[] = [];
  const open = (path: string): Part => {
    const fd = native.openFollow(bytes(path), O_PATH | O_DIRECTORY);
    if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
    opened.push(fd);
    return { fd, marks: marksOf(fd, path) };
  };
  try {
    return work(open(upper), lowers.map(open));
  } finally {
    for (const fd of opened) native.close(fd);
  }
}

function check(result: number, path: string): number {
  if (result < 0) throw new StoreError(`${shown(path)} in a layer cannot be read: ${errnoName(result)}`);
  return result;
}

function marksOf(fd: number, path: string): DirectoryMarks {
  const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, redirect: null, byUser: false };
  check(readMarks(fd, "", false, marks), path);
  return marks;
}

function namesIn(fd: number, path: string): string[] {
  const names: string[] = [];
  const sink: EntrySink = { entry: (name) => void names.push(name) };
  check(readListing(fd, sink), path);
  return names.sort();
}

function closeAll(parts: Parts = []): void {
  for (const { fd } of parts) native.close(fd);
}

const plain: DirectoryMarks = { opaque: false, xattrWhiteouts: false, redirect: null, byUser: false };

function level(upper: Part, below: Parts, own: Finding): Level {
  return { upper, below, path: own.path, present: new Set(), names: [], next: 0, own };
}

/** A directory of the upper whose names are being looked at. */
interface Level {
  upper: Part;
  /** As the layers have it. */
  readonly below: Parts;
  readonly path: string;
  /** What the upper has there, and then all that has to be looked at: also what it hides. */
  readonly present: Set<string>;
  names: readonly string[];
  /** The first of the names that was not looked at yet. */
  next: number;
  /** What is said of the directory itself; nothing as long as no kind is known. */
  readonly own: Finding;
}

interface Finding {
  kind: Change["kind"] | undefined;
  readonly path: string;
}

class Comparison {
  readonly #stat = new Stat();
  readonly #below = new Stat();
  readonly #found: Finding[] = [];
  /** From the root to the directory that is being looked at: directories may lie deeper in each other than calls can. */
  readonly #levels: Level[] = [];

  /** What the upper changes, a directory before what is in it. */
  run(top: Part, below: Parts): Change[] {
    const root = level(top, below, { kind: undefined, path: "" });
    this.#list(root);
    this.#levels.push(root);
    try {
      for (let one = this.#levels.at(-1); one !== undefined; one = this.#levels.at(-1)) {
        const name = one.names[one.next++];
        if (name !== undefined) this.#compare(one, name);
        else this.#leave();
      }
    } finally {
      while (this.#levels.length > 0) this.#leave();
    }
    return this.#found.filter((one): one is Change => one.kind !== undefined);
  }

  #leave(): void {
    const left = this.#levels.pop();
    // The roots are the caller's.
    if (left === undefined || this.#levels.length === 0) return;
    if (left.upper.fd >= 0) native.close(left.upper.fd);
    closeAll(left.below);
  }

  #list(one: Level): void {
    const { upper, path, below, present } = one;
    const gone = new Set<string>();
    for (const name of namesIn(upper.fd, path)) {
      const what = this.#classify(upper, name, path);
      if (what === undefined) present.add(name);
      else if (what !== null) gone.add(what);
    }
    // What an opaque directory, or one from elsewhere, hides is named only by the layers.
    if ((upper.marks.opaque || upper.marks.redirect !== null) && below.length > 0) {
      for (const name of this.#merged(below, path)) gone.add(name);
    }
    one.names = [...new Set([...present, ...gone])].sort();
  }

  #compare(one: Level, name: string): void {
    const { below, path, present, own } = one;
    const full = `${path}/${name}`;
    if (present.has(name)) {
      if (this.#object(one, name, full)) own.kind ??= "C";
    } else if (this.#shows(below, name, full)) {
      // A whiteout that hides nothing is no change.
      this.#found.push({ kind: "D", path: full });
      own.kind ??= "C";
    }
  }

  /** An object of the upper; what is in a directory comes next. Returns whether it was added. */
  #object({ upper, below }: Level, name: string, path: string): boolean {
    check(native.statx(upper.fd, name, STATX_ALL, this.#stat.bytes), path);
    const { isDirectory, mode, uid, gid, mtime, mtimeNsec } = this.#stat;
    const old = this.#find(below, name, path);
    const own: Finding = { kind: old === undefined ? "A" : undefined, path };
    this.#found.push(own);
    if (!isDirectory) {
      own.kind ??= "C";
      closeAll(old?.parts);
      return old === undefined;
    }
    const next = level({ fd: -1, marks: plain }, old?.parts ?? [], own);
    this.#levels.push(next);
    const fd = check(native.openBeneath(upper.fd, name, O_PATH | O_DIRECTORY), path);
    next.upper = { fd, marks: plain };
    next.upper = { fd, marks: marksOf(fd, path) };
    this.#list(next);
    if (old === undefined) return true;
    const identity = [mode, uid, gid, mtime, mtimeNsec];
    const replaced = old.parts.length === 0 || next.upper.marks.redirect !== null;
    if (replaced || old.identity.some((value, index) => value !== identity[index])) own.kind = "C";
    return false;
  }

  /** The inode of what a path leads to in the layers; undefined if the upper has or hides it. */
  inodeBelow(top: Part, image: Parts, path: string): string | undefined {
    const opened: number[] = [];
    let upper: Part | undefined = top;
    let below = image;
    try {
      for (let at = 0; ; ) {
        const end = path.indexOf("/", at + 1);
        const isLast = end < 0;
        const full = isLast ? path : path.slice(0, end);
        const name = full.slice(at + 1);
        const own: number = upper === undefined ? ABSENT : this.#inPart(upper, name, full);
        if (own === WHITEOUT || (own === OBJECT && (isLast || !this.#below.isDirectory))) return undefined;
        const old = this.#find(below, name, full);
        opened.push(...(old?.parts ?? []).map(({ fd }) => fd));
        if (isLast || old === undefined) return old?.inode;
        if (upper === undefined || own === ABSENT) upper = undefined;
        else {
          const fd = check(native.openBeneath(upper.fd, name, O_PATH | O_DIRECTORY), full);
          opened.push(fd);
          upper = { fd, marks: marksOf(fd, full) };
          if (upper.marks.opaque || upper.marks.redirect !== null) return undefined;
        }
        below = old.parts;
        at = end;
      }
    } finally {
      for (const fd of opened) native.close(fd);
    }
  }

  /** Whether the image has something under a name. */
  #shows(below: Parts, name: string, path: string): boolean {
    const old = this.#find(below, name, path);
    closeAll(old?.parts);
    return old !== undefined;
  }

  /**
   * What an entry of a layer's directory is: undefined for an object, the name that it hides for a whiteout, null for a mark that is neither.
   */
  #classify(part: Part, name: string, path: string): string | null | undefined {
    const full = `${path}/${name}`;
    check(native.statx(part.fd, name, STATX_ALL, this.#stat.bytes), full);
    const hidden = hiddenName(part.fd, name, this.#stat, part.marks.xattrWhiteouts);
    if (typeof hidden !== "number") return hidden;
    throw new StoreError(`${shown(full)} in a layer cannot be read: ${errnoName(hidden)}`);
  }

  /** The state of one name in one directory of one layer; an object's attributes are in `#below` then. */
  #inPart(part: Part, name: string, path: string): number {
    const found = native.statx(part.fd, name, STATX_ALL, this.#below.bytes);
    if (found === 0) {
      const plain = !this.#below.isWhiteoutDevice && !part.marks.xattrWhiteouts && !name.startsWith(WHITEOUT_PREFIX);
      if (plain) return OBJECT;
      const what = this.#classify(part, name, path.slice(0, path.lastIndexOf("/")));
      return what === undefined ? OBJECT : WHITEOUT;
    }
    if (!isAbsent(found)) check(found, path);
    const marker = `${WHITEOUT_PREFIX}${name}`;
    // No file system takes a longer name.
    if (marker.length > 255) return ABSENT;
    const hidden = native.statx(part.fd, marker, STATX_ALL, this.#stat.bytes);
    if (isAbsent(hidden)) return ABSENT;
    check(hidden, path);
    return check(classifyMarkedName(part.fd, marker, this.#stat), path) === NAME_WHITEOUT ? WHITEOUT : ABSENT;
  }

  /** What the image has under a name; of a directory its parts, which the caller closes. */
  #find(below: Parts, name: string, path: string): { parts: Part[]; identity: number[]; inode: string } | undefined {
    const parts: Part[] = [];
    let identity: number[] | undefined;
    let inode = "";
    for (const part of below) {
      const what = this.#inPart(part, name, path);
      if (what === WHITEOUT) break;
      if (what === ABSENT) continue;
      const { mode, uid, gid, mtime, mtimeNsec, isDirectory, inoHigh, inoLow } = this.#below;
      // A file ends what is merged, and shows only if nothing is above it.
      if (!isDirectory && identity !== undefined) break;
      if (identity === undefined) inode = `${inoHigh}:${inoLow}`;
      identity ??= [mode, uid, gid, mtime, mtimeNsec];
      if (!isDirectory) break;
      const fd = check(native.openBeneath(part.fd, name, O_PATH | O_DIRECTORY), path);
      const marks = marksOf(fd, path);
      parts.push({ fd, marks });
      if (marks.opaque) break;
    }
    return identity === undefined ? undefined : { parts, identity, inode };
  }

  /** The names that a directory of the image shows, and some that it hides. */
  #merged(below: Parts, path: string): Set<string> {
    const names = new Set<string>();
    for (const part of below) {
      for (const name of namesIn(part.fd, path)) if (this.#classify(part, name, path) === undefined) names.add(name);
    }
    return names;
  }
}
