/**
 * The one lookup rule. Top-down, one layer at a time, for a name: a real entry beats a `.wh.` of the same name in the same
 * layer; a whiteout hides the name in everything below; a non-directory ends the search; an opaque directory ends it after
 * its layer; a non-directory below a directory ends it without being merged; a redirect says under which name or path the
 * layers below know the directory.
 */
import { EACCES, EINVAL, EIO, ENOENT, EPERM, ignore, isAbsent } from "../errno.js";
import {
  classifyMarkedName,
  type DirectoryMarks,
  hasOpaqueMarker,
  NAME_GONE,
  NAME_PLAIN,
  NAME_WHITEOUT,
  readMarks,
  readMarksAlone,
  readMarksBeside,
  readPlain,
  readXattrWhiteout,
  WHITEOUT_PREFIX,
} from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { type Directory, newPart, type Part, WH_NONE } from "./directory.js";
import { gatherOpen, learnMarks, learnNames } from "./listing.js";
import { openListingIn, partFd, partPath, pathBelow } from "./locate.js";
import { NameGatherer } from "./lower-names.js";
import type { Union } from "./union.js";

export const ABSENT = 0;
export const PRESENT = 1;
/** The name is not there, nor in any layer below. */
export const WHITEOUT = 2;

/** NAME_MAX of every layer's file system. */
export const NAME_MAX = 255;

/** Misses after which the listing of a part is read, so that further ones cost nothing. */
const LEARN_AFTER = 4;

const marked = new Stat();
const below = new Stat();
const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, redirect: null, byUser: false };

/** Whether an existing entry is an object or a mark: PRESENT, ABSENT (a mark that is not shown), WHITEOUT, or -errno. */
export function judge(fd: number, name: string, stat: Stat, xattrWhiteouts: boolean): number {
  if (stat.isWhiteoutDevice) {
    const plain = readPlain(fd, name);
    return plain < 0 ? plain : plain === 1 ? PRESENT : WHITEOUT;
  }
  if (name.startsWith(WHITEOUT_PREFIX)) {
    const kind = classifyMarkedName(fd, name, stat);
    return kind < 0 ? kind : kind === NAME_PLAIN ? PRESENT : kind === NAME_GONE ? WHITEOUT : ABSENT;
  }
  if (xattrWhiteouts && stat.isRegular && stat.size === 0) {
    const whiteout = readXattrWhiteout(fd, name);
    return whiteout < 0 ? whiteout : whiteout === 1 ? WHITEOUT : PRESENT;
  }
  return PRESENT;
}

/** Whether a `.wh.NAME` file of a directory says that NAME is hidden below: 1, 0 or -errno. */
export function hasMarkFor(fd: number, name: string): number {
  const mark = WHITEOUT_PREFIX + name;
  const r = native.statx(fd, mark, STATX_ALL, marked.bytes);
  if (r < 0) return isAbsent(r) ? 0 : r;
  const kind = classifyMarkedName(fd, mark, marked);
  return kind < 0 ? kind : kind === NAME_WHITEOUT ? 1 : 0;
}

/** The same, with what is known about the part. */
export function isMarked(u: Union, node: number, part: Part, name: string): number {
  if (part.marked === WH_NONE) return 0;
  if (part.known !== null && !part.known.mentions(WHITEOUT_PREFIX + name, part.layer)) return 0;
  const fd = partFd(u, node, part);
  return fd < 0 ? fd : hasMarkFor(fd, name);
}

/** Looks for a name in one part of a directory: ABSENT, PRESENT (`stat` filled), WHITEOUT, or -errno. */
export function probe(u: Union, node: number, part: Part, name: string, stat: Stat): number {
  if (part.known !== null && !part.known.mentions(name, part.layer)) return ABSENT;
  return look(u, node, part, name, stat);
}

/** The same where the listing, if it is known, is known to mention the name. */
function look(u: Union, node: number, part: Part, name: string, stat: Stat): number {
  const fd = partFd(u, node, part);
  if (fd < 0) return fd;
  const r = native.statx(fd, name, STATX_ALL, stat.bytes);
  if (r === 0) return judge(fd, name, stat, part.xattrWhiteouts);
  if (!isAbsent(r)) return r;
  if (++part.misses > LEARN_AFTER && !part.listed) {
    const learnt = learn(u, node, part);
    if (learnt < 0) return learnt;
  }
  const hidden = isMarked(u, node, part, name);
  return hidden === 1 ? WHITEOUT : hidden;
}

/** Reads the listing of the part, or of all lower parts together: 0 or -errno. */
function learn(u: Union, node: number, part: Part): number {
  const directory = u.table.directory(node);
  return part.layer === 0 || directory === undefined ? learnMarks(u, node, part) : learnNames(u, node, directory);
}

/**
 * Searches the merged directory `node` for `name`, starting at part number `from`, which lists it; -1: nothing is known. Returns 0 with `u.found` describing the
 * object and `u.stat` holding the attributes of its topmost backing, -ENOENT, or another -errno (EIO: a mark that
 * makes no sense).
 */
export function find(u: Union, node: number, directory: Directory, name: string, from = -1): number {
  const { found, stat } = u;
  found.reset();
  gathering.begun = false;
  const known = knowNames(u, node, directory);
  if (known < 0) return known;
  let nameBelow = name;
  let last = 0;
  for (let i = from < 0 ? 0 : from; i < directory.parts.length; i++) {
    let part = directory.parts[i] as Part;
    if (part.known !== null && i !== from) {
      const layer = part.known.next(nameBelow, part.layer);
      if (layer < 0) break;
      while (part.layer < layer) part = directory.parts[++i] as Part;
    }
    const first = !found.hasParts;
    const path = nameBelow === name ? null : joinPath(partPath(u, node, part), nameBelow);
    let hidden = 0;
    let added = first ? 0 : addListed(u, node, part, nameBelow, path);
    if (added === 0) {
      const into = first ? stat : below;
      const seen = look(u, node, part, nameBelow, into);
      if (seen < 0) return seen;
      if (seen === ABSENT) continue;
      if (seen === WHITEOUT) break;
      if (!into.isDirectory) {
        if (!first) break;
        found.layer = part.layer;
        return 0;
      }
      if (first) found.layer = part.layer;
      else found.noteLower(u.inodes, below);
      const isAlone = part === directory.parts.at(-1) || (directory.known?.next(nameBelow, part.layer + 1) ?? 0) < 0;
      hidden = isAlone ? 0 : isMarked(u, node, part, nameBelow);
      if (hidden < 0) return hidden;
      const fd = partFd(u, node, part);
      if (fd < 0) return fd;
      added = addPart(u, part.layer, fd, nameBelow, path, isAlone);
      if (first) {
        gathering.from = part;
        gathering.name = nameBelow;
      } else if (added >= 0) gatherLast(u, node, part, nameBelow);
    }
    if (added < 0) return malformed(u, node, name, added);
    last = part.layer;
    const { redirect } = marks;
    // A mark hides what has this name below; a redirect leads to another name.
    if (marks.opaque || (hidden === 1 && redirect === null)) break;
    if (redirect === null) continue;
    if (redirect.startsWith("/")) {
      if (part.layer === 0) found.redirect = redirect;
      const r = findBelow(u, redirect.slice(1), last);
      return r < 0 ? malformed(u, node, name, r) : 0;
    }
    if (part.layer === 0) found.redirect = `${pathBelow(u, node)}/${redirect}`;
    nameBelow = redirect;
  }
  if (!found.hasParts) return -ENOENT;
  if (gathering.begun && !gathering.failed) found.gathered(gathered);
  return 0;
}

/** Of a merged directory all listings are read at once, before the first search: its number of links takes that anyway. 0 or -errno. */
function knowNames(u: Union, node: number, directory: Directory): number {
  if (!directory.isMerged || directory.known !== null) return 0;
  const lowest = directory.parts.at(-1) as Part;
  if (lowest.listed) return 0;
  const r = learnNames(u, node, directory);
  if (r !== -EACCES) return r;
  // A driver that may not read it can still look names up.
  lowest.listed = true;
  return 0;
}

const gathered = new NameGatherer();

/** The listings of the parts found so far: where the topmost is, and whether the others are gathered. */
const gathering = { begun: false, failed: false, from: null as Part | null, name: "" };

/** Before the second part of a directory: gathers what the topmost one lists. */
function gatherFirst(u: Union, node: number): void {
  if (gathering.begun) return;
  gathering.begun = true;
  gathering.failed = false;
  gathered.begin();
  gather(u, node, u.found.first, gathering.from as Part, gathering.name);
}

/** Gathers what the part that was found last lists. */
function gatherLast(u: Union, node: number, from: Part, name: string): void {
  gatherFirst(u, node);
  gather(u, node, u.found.last, from, name);
}

function gather(u: Union, node: number, part: Part, from: Part, name: string): void {
  const fd = openListingIn(u, partFd(u, node, from), name);
  const list = fd < 0 ? fd : gatherOpen(u, part, fd, gathered);
  if (fd >= 0) u.found.hold(part, fd);
  // Whoever needs all listings reads them, and finds out what is wrong.
  if (typeof list === "number") gathering.failed = true;
}

/**
 * Adds a further part of a directory, where the listing of `part` leaves no doubt but whether its `name` is one: 1 with what it says
 * about itself in `marks`, -errno, or 0: it must be looked at more closely. Four system calls: open, getdents twice, listxattr.
 */
function addListed(u: Union, node: number, from: Part, name: string, path: string | null): number {
  const { found } = u;
  if (from.known === null || from.marked !== WH_NONE || name.startsWith(WHITEOUT_PREFIX)) return 0;
  // The number that a copied-up directory shows is that of the topmost lower one.
  if (found.layer === 0 && !found.hasLower) return 0;
  gatherFirst(u, node);
  const fd = openListingIn(u, partFd(u, node, from), name);
  if (fd < 0) return 0;
  const part = newPart(from.layer, path);
  const list = gatherOpen(u, part, fd, gathered);
  const isLowest = from.layer === u.lastLayer;
  const marker = typeof list === "number" ? list : list.marked && !isLowest ? hasOpaqueMarker(fd, "") : 0;
  let r = marker < 0 ? marker : readMarksBeside(marker === 1, fd, "", isLowest, marks);
  if (r >= 0) r = mayFollow(u, marks);
  found.add(part);
  found.hold(part, fd);
  if (r < 0) return r;
  part.xattrWhiteouts = marks.xattrWhiteouts;
  return 1;
}

function joinPath(base: string, name: string): string {
  return base === "" ? name : `${base}/${name}`;
}

const NO_REDIRECT = "a redirect, and redirect_dir=nofollow: this object cannot be read";

function malformed(u: Union, node: number, name: string, result: number): number {
  if (result === -EPERM && !u.followsRedirects) u.warn(NO_REDIRECT, node, name, result);
  if (result !== -EINVAL) return result;
  u.warn("a malformed redirect: this object cannot be read", node, name, result);
  return -EIO;
}

/** Leaves in `read` a redirect only if it may be followed: 0, or -EPERM where none may (`Union.followsRedirects`). */
export function mayFollow(u: Union, read: DirectoryMarks): number {
  if (read.byUser && !u.followsUser) read.redirect = null;
  return read.redirect === null || u.followsRedirects ? 0 : -EPERM;
}

/**
 * Reads what a directory says about itself into `marks`, a redirect only if it may be followed: 0 or -errno. `isAlone`: nothing
 * below has its name.
 */
function readDirectory(u: Union, layer: number, fd: number, name: string, isAlone = false): number {
  const isLowest = layer === u.lastLayer;
  const r = isAlone && !isLowest ? readMarksAlone(fd, name, marks) : readMarks(fd, name, isLowest, marks);
  return r < 0 ? r : mayFollow(u, marks);
}

/** Adds the directory (fd, name) to `found`, with what it says about itself in `marks`: 0 or -errno. */
function addPart(u: Union, layer: number, fd: number, name: string, path: string | null, isAlone = false): number {
  const part = newPart(layer, path);
  u.found.add(part);
  const r = readDirectory(u, layer, fd, name, isAlone);
  part.xattrWhiteouts = marks.xattrWhiteouts;
  return r;
}

/**
 * Goes on searching for a directory under an absolute path in the layers below `layer`, as overlayfs does: each layer is
 * walked from its root; a whiteout or a non-directory on the way ends the search, an opaque directory on the way ends it
 * after this layer, a redirect on the way changes the path for the layers below; one that starts at their roots leads past an
 * opaque directory above it. 0 or -errno.
 */
function findBelow(u: Union, path: string, layer: number): number {
  walk.components = path.split("/");
  for (let index = layer + 1; index <= u.lastLayer; index++) {
    walk.below = [];
    walk.ends = false;
    const seen = walkLayer(u, index, u.layers[index]?.root as number, 0);
    if (seen < 0 || seen === WHITEOUT) return Math.min(seen, 0);
    walk.components = [...walk.below, ...walk.components.slice(walk.depth)];
  }
  return 0;
}

/** The path of `findBelow`: what is left of it, what the part already walked is called in the layers below, and whether they are hidden. */
const walk = { components: [] as string[], below: [] as string[], depth: 0, ends: false };

/**
 * Walks component number `depth` and those after it, in the directory `fd` of a layer. Returns WHITEOUT if the search ends
 * with this layer, PRESENT or ABSENT if it goes on below, or -errno.
 */
function walkLayer(u: Union, index: number, fd: number, depth: number): number {
  const name = walk.components[depth] as string;
  walk.depth = depth;
  const r = native.statx(fd, name, STATX_ALL, below.bytes);
  if (r < 0 && !isAbsent(r)) return r;
  const hidden = hasMarkFor(fd, name);
  if (hidden < 0 || r < 0) return hidden === 1 ? WHITEOUT : hidden;
  const seen = judge(fd, name, below, false);
  if (seen !== PRESENT) return seen;
  if (!below.isDirectory) return WHITEOUT;
  const isLast = depth === walk.components.length - 1;
  if (isLast) u.found.noteLower(u.inodes, below);
  const read = isLast ? addPart(u, index, fd, name, walk.components.join("/")) : readDirectory(u, index, fd, name);
  if (read < 0) return read;
  const target = marks.redirect;
  if (target?.startsWith("/")) walk.below = target.slice(1).split("/");
  else walk.below.push(target ?? name);
  walk.depth = depth + 1;
  if (marks.opaque || (hidden === 1 && target === null)) walk.ends = true;
  else if (target?.startsWith("/")) walk.ends = false;
  if (isLast) return walk.ends ? WHITEOUT : PRESENT;
  const inner = native.open(fd, name, O_PATH | O_DIRECTORY, 0);
  if (inner < 0) return inner;
  const result = walkLayer(u, index, inner, depth + 1);
  ignore(native.close(inner), "an O_PATH descriptor");
  return walk.ends && result >= 0 ? WHITEOUT : result;
}

/**
 * Whether anything below the upper shows under a name: what a removal must hide with a whiteout. 1, 0 or -errno.
 */
export function showsBelow(u: Union, node: number, directory: Directory, name: string): number {
  for (const part of directory.parts) {
    if (part.layer === 0) continue;
    const seen = probe(u, node, part, name, below);
    if (seen < 0) return seen;
    if (seen === PRESENT) return 1;
    if (seen === WHITEOUT) return 0;
  }
  return 0;
}
