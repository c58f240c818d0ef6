/**
 * Where the data of a metacopy is: a regular file of the upper, or of a layer in the middle, that has attributes only (overlayfs's
 * `metacopy`). It is searched downward, by the same name or where a redirect leads, through further metacopies, until a
 * regular file with data. What a layer says about it may be a lie: the answer is that file or EIO, and it lies in its layer.
 */
import { EINVAL, EIO, ELOOP, EMFILE, ENFILE, ENOMEM, EPERM, ignore, isAbsent } from "../errno.js";
import { readMarks, readObjectMarks, readRedirect } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_REG, O_DIRECTORY, O_NOATIME, O_NONBLOCK, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { SOURCE } from "./descriptors.js";
import { holdBelow } from "./held.js";
import { locate, partFd, partPath, pathBelow, statBacking } from "./locate.js";
import { hasMarkFor, isMarked, judge, mayFollow, PRESENT, probe, WHITEOUT } from "./merge.js";
import { checkDigest, readMark } from "./metacopy-mark.js";
import { DATA_BELOW, DATA_OWN, DATA_UNKNOWN } from "./node-table.js";
import { hasData } from "./settle.js";
import type { Union } from "./union.js";

/** What is known of the data of one metacopy. */
export interface DataSource {
  /** Where the layers below the upper know the file: an absolute path, as overlay.redirect holds it. */
  readonly below: string;
  /** The upper object says so itself: it may have any name. */
  redirected: boolean;
  /** 0, or the -errno that whoever wants the data gets. */
  readonly result: number;
  readonly layer: number;
  /** From the root of the layer. */
  readonly path: string;
  /** Blocks of 512 bytes. */
  readonly blocks: number;
  /** A descriptor to read the data, held by the LRU; -1 for none. */
  fd: number;
}

const own = new Stat();
const seen = new Stat();
const marks = { opaque: false, xattrWhiteouts: false, redirect: null as string | null, byUser: false };

/** Whether a node's data is in its own backing: DATA_OWN or DATA_BELOW; or -errno. One listxattr(2), the first time. */
export function dataPlace(u: Union, node: number): number {
  const { table } = u;
  const known = table.data(node);
  if (known !== DATA_UNKNOWN) return known;
  if (table.type(node) !== DT_REG) return DATA_OWN;
  const found = learnPlace(u, node);
  return found < 0 ? found : table.data(node);
}

/** Finds out where the data of a regular file is: the marks HAS_* of its backing, or -errno. */
export function learnPlace(u: Union, node: number): number {
  const r = locate(u, node);
  const found = r < 0 ? r : readObjectMarks(u.atFd, u.atName);
  const own = found < 0 ? found : hasData(u, u.atFd, u.atName, found);
  if (own < 0) return own;
  u.table.setData(node, own === 1 ? DATA_OWN : DATA_BELOW);
  return found;
}

/** The source of a metacopy's data (which may be that there is none), or -errno if it cannot be told now. */
export function dataSource(u: Union, node: number): DataSource | number {
  const known = u.sources.get(node);
  if (known !== undefined) return known;
  const source = search(u, node);
  if (typeof source === "number") return source;
  u.sources.set(node, source);
  return source;
}

/** A descriptor to read the data of a metacopy, or -errno. It belongs to the LRU. */
export function sourceFd(u: Union, node: number): number {
  const source = dataSource(u, node);
  if (typeof source === "number") return source;
  if (source.result < 0) return source.result;
  if (source.fd >= 0) {
    u.descriptors.touch(source.fd);
    return source.fd;
  }
  let fd = openSource(u, node, source);
  if (fd < 0 && u.descriptors.makeRoom(fd)) fd = openSource(u, node, source);
  if (fd < 0) return fd;
  source.fd = fd;
  u.descriptors.keep(fd, node, SOURCE);
  return fd;
}

/** Opens the data of a file that are not the upper's own yet, for reading: a descriptor or -errno. */
export function openBelow(u: Union, node: number): number {
  const place = dataPlace(u, node);
  if (place < 0) return place;
  if (place === DATA_BELOW) {
    const fd = sourceFd(u, node);
    return fd < 0 ? fd : native.dup(fd);
  }
  const r = locate(u, node);
  if (r < 0) return r;
  return u.atName === "" ? native.reopen(u.atFd, O_RDONLY) : native.open(u.atFd, u.atName, O_RDONLY, 0);
}

/**
 * Before the data of a node become the upper's own: those who have the data below open through the kernel go on with them, and
 * may ask for their holes. 0 or -errno.
 */
export function keepBelow(u: Union, node: number): number {
  if (!u.openFiles.isOld(node)) return 0;
  const fd = openBelow(u, node);
  if (fd < 0) return fd;
  holdBelow(u, node, fd);
  return 0;
}

function openSource(u: Union, node: number, source: DataSource): number {
  const path = native.openBeneath(u.layers[source.layer]?.root as number, source.path, O_PATH);
  if (path < 0) return isAbsent(path) ? -EIO : path;
  let fd = native.statx(path, "", STATX_ALL, seen.bytes);
  if (fd === 0) fd = seen.isRegular ? native.reopen(path, O_RDONLY | O_NOATIME | O_NONBLOCK) : -EIO;
  if (fd === -EPERM) fd = native.reopen(path, O_RDONLY | O_NONBLOCK);
  ignore(native.close(path), "an O_PATH descriptor");
  const checked = fd < 0 ? fd : checkDigest(u, node, fd);
  if (fd < 0 || checked === 0) return fd;
  ignore(native.close(fd), "nothing was read through it");
  return checked;
}

/** Before a name of a regular file goes: afterwards its data can still be found. 0 or -errno. */
export function keepSource(u: Union, node: number): number {
  const { table } = u;
  if (table.type(node) !== DT_REG) return 0;
  if (table.data(node) === DATA_UNKNOWN && table.layer(node) === u.lastLayer && u.dataLayers.length === 0) return 0;
  const place = dataPlace(u, node);
  if (place !== DATA_BELOW) return Math.min(place, 0);
  const source = dataSource(u, node);
  return typeof source === "number" ? source : 0;
}

/** An error of the moment, which says nothing about the layers. */
function isPassing(result: number): boolean {
  return result === -EMFILE || result === -ENFILE || result === -ENOMEM;
}

/** One search; its own state, since it goes from layer to layer. */
interface Search {
  /** The last layer that was looked at. */
  layer: number;
  /** Path from the roots of the layers, once a redirect gave one. */
  absolute: string | null;
  /** Whether nothing has been found yet, not even another metacopy. */
  first: boolean;
  /** What was found: its path in `layer`. */
  path: string;
  /** What is wrong, if there is no data. */
  wrong: string;
}

const MISSING = "a metacopy without data: it can be found in no layer below";
const REFUSED = "a metacopy with a redirect, and redirect_dir=nofollow: its data cannot be read";
const MALFORMED = "a malformed metacopy or redirect: its data cannot be read";
const NO_FILE = "a metacopy whose data is no regular file";
const OTHER_SIZE = "a metacopy whose data has another size";
const OTHER_FILE = "a metacopy whose data is another file than its origin says";

function search(u: Union, node: number): DataSource | number {
  const { table } = u;
  const parent = table.parent(node);
  const name = table.name(node);
  let r = statBacking(u, node, own);
  if (r < 0) return r;
  const size = u.unsynced.voids.get(node)?.size ?? own.size;
  const { atFd, atName } = u;
  r = readMark(u, atFd, atName);
  if (r >= 0) r = redirectOf(u, atFd, atName);
  if (isPassing(r)) return r;
  const redirect = r < 0 ? null : marks.redirect;
  const absolute = redirect?.startsWith("/") ? redirect : null;
  const nameless = table.isNameless(node);
  const below = absolute ?? (nameless ? "" : `${pathBelow(u, parent)}/${redirect ?? name}`);
  const state: Search = {
    layer: table.layer(node),
    absolute,
    first: table.layer(node) === 0,
    path: "",
    wrong: MISSING,
  };
  // An object without a name can only be found by what it says itself.
  if (r === 0 && absolute === null) r = nameless ? -EIO : searchParts(u, node, redirect ?? name, state);
  if (r === 0) r = searchLayers(u, node, state);
  if (r === 1 && seen.size !== size) {
    state.wrong = OTHER_SIZE;
    r = -EIO;
  }
  if (isPassing(r)) return r;
  const redirected = absolute !== null && table.layer(node) === 0;
  if (r === 1) {
    return { below, redirected, result: 0, layer: state.layer, path: state.path, blocks: seen.blocks, fd: -1 };
  }
  const refused = r === -EPERM && !u.followsRedirects;
  const why = r === -EINVAL ? MALFORMED : refused ? REFUSED : state.wrong;
  u.warn(why, nameless ? node : parent, name, r === 0 ? -EIO : r);
  return { below, redirected, result: refused ? -EPERM : -EIO, layer: 0, path: "", blocks: own.blocks, fd: -1 };
}

/** Reads the redirect of a metacopy that may be followed into `marks`: 0 or -errno. */
function redirectOf(u: Union, fd: number, name: string): number {
  const r = readRedirect(fd, name, marks);
  return r < 0 ? r : mayFollow(u, marks);
}

function isWrong(state: Search, why: string): number {
  state.wrong = why;
  return -EIO;
}

/** What was found under a name: 1 (a file with data), 0 (another metacopy; `marks` has its redirect), or -errno. */
function look(u: Union, node: number, fd: number, name: string, state: Search): number {
  if (!seen.isRegular) return isWrong(state, NO_FILE);
  if (state.first) {
    state.first = false;
    const r = statBacking(u, node, own);
    const other = r < 0 ? r : u.origins.contradicts(u, u.atFd, u.atName, seen);
    if (other !== 0) return other < 0 ? other : isWrong(state, OTHER_FILE);
  }
  const found = readObjectMarks(fd, name);
  const has = found < 0 ? found : hasData(u, fd, name, found);
  if (has !== 0) return has;
  let r = readMark(u, fd, name);
  if (r >= 0) r = redirectOf(u, fd, name);
  if (r < 0) return r;
  if (marks.redirect?.startsWith("/")) state.absolute = marks.redirect;
  return 0;
}

/** Searches the parts of the parent below `state.layer`: 1, 0 (go on with `state.absolute`, if there is one), or -errno. */
function searchParts(u: Union, node: number, from: string, state: Search): number {
  const parent = u.table.parent(node);
  let name = from;
  for (const part of u.table.directory(parent)?.parts ?? []) {
    if (part.layer <= state.layer) continue;
    const there = probe(u, parent, part, name, seen);
    if (there < 0) return there;
    if (there === WHITEOUT) return 0;
    if (there !== PRESENT) continue;
    state.layer = part.layer;
    const base = partPath(u, parent, part);
    state.path = base === "" ? name : `${base}/${name}`;
    const fd = partFd(u, parent, part);
    if (fd < 0) return fd;
    const r = look(u, node, fd, name, state);
    if (r !== 0 || state.absolute !== null) return r;
    const hidden = marks.redirect === null ? isMarked(u, parent, part, name) : 0;
    if (hidden !== 0) return Math.min(hidden, 0);
    name = marks.redirect ?? name;
  }
  return 0;
}

/** Searches the layers below `state.layer` for `state.absolute`, and then those that only hold data: 1, 0 or -errno. */
function searchLayers(u: Union, node: number, state: Search): number {
  if (state.absolute === null) return 0;
  let components = state.absolute.slice(1).split("/");
  for (let index = state.layer + 1; index <= u.lastLayer; index++) {
    const below: string[] = [];
    const fd = native.dup(u.layers[index]?.root as number);
    if (fd < 0) return fd;
    const r = searchLayer(u, node, index, fd, components, below, state);
    if (r === 1 || r < 0) return r;
    if (r === STOP) break;
    components = [...below, ...components.slice(walked)];
  }
  for (const layer of u.dataLayers) {
    const path = (state.absolute as string).slice(1);
    const fd = native.openBeneath(layer.root, path, O_PATH);
    if (fd < 0 && isAbsent(fd)) continue;
    if (fd < 0 && fd !== -ELOOP) return fd;
    const r = fd < 0 ? 0 : native.statx(fd, "", STATX_ALL, seen.bytes);
    if (fd >= 0) ignore(native.close(fd), "an O_PATH descriptor");
    if (r < 0) return r;
    state.layer = layer.index;
    state.path = path;
    if (fd >= 0 && seen.isRegular) return 1;
    // As in overlayfs, the next layer may have it.
    state.wrong = NO_FILE;
  }
  return 0;
}

/** Nothing further down can be meant. */
const STOP = 2;
/** Components of the path that `searchLayer` replaced by `below`. */
let walked = 0;

/**
 * Walks a path in one layer, from its root `fd` (which it closes), as overlayfs does: 1 (found), 0 (look in the next layer:
 * `below` says what the first `walked` components are called there), STOP, or -errno.
 */
function searchLayer(
  u: Union,
  node: number,
  index: number,
  root: number,
  components: readonly string[],
  below: string[],
  state: Search,
): number {
  let fd = root;
  let ends = false;
  let result = 0;
  walked = 0;
  for (const [depth, name] of components.entries()) {
    const r = native.statx(fd, name, STATX_ALL, seen.bytes);
    const hidden = r < 0 && !isAbsent(r) ? r : hasMarkFor(fd, name);
    const there = hidden < 0 || r < 0 ? hidden : judge(fd, name, seen, false);
    if (there < 0) {
      result = there;
      break;
    }
    if (r < 0 || there !== PRESENT) {
      result = hidden === 1 || there === WHITEOUT ? STOP : 0;
      break;
    }
    const isLast = depth === components.length - 1;
    if (isLast !== !seen.isDirectory) {
      result = isLast ? isWrong(state, NO_FILE) : STOP;
      break;
    }
    let read = isLast ? look(u, node, fd, name, state) : readMarks(fd, name, false, marks);
    if (read === 0) read = mayFollow(u, marks);
    if (read !== 0) {
      state.layer = index;
      state.path = components.join("/");
      result = read;
      break;
    }
    const opaque = !isLast && marks.opaque;
    if (opaque || (hidden === 1 && marks.redirect === null)) ends = true;
    else if (marks.redirect?.startsWith("/")) ends = false;
    if (marks.redirect?.startsWith("/")) below.splice(0, below.length, ...marks.redirect.slice(1).split("/"));
    else below.push(marks.redirect ?? name);
    walked = depth + 1;
    if (isLast) break;
    const inner = native.open(fd, name, O_PATH | O_DIRECTORY, 0);
    ignore(native.close(fd), "an O_PATH descriptor");
    fd = inner;
    if (fd < 0) return fd;
  }
  ignore(native.close(fd), "an O_PATH descriptor");
  return result === 0 && ends ? STOP : result;
}
