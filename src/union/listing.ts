/** Merged listings: what readdir shows, what rmdir must find empty, what st_nlink counts. */
import { ignore, isAbsent } from "../errno.js";
import { RawListing } from "../layer/listing.js";
import {
  classifyMarkedName,
  NAME_GONE,
  NAME_PLAIN,
  NAME_WHITEOUT,
  readPlain,
  readXattrWhiteout,
  WHITEOUT_PREFIX,
} from "../layer/marks.js";
import { S_IFMT, STATX_ALL, Stat } from "../layer/stat.js";
import { DT_CHR, DT_DIR, DT_REG, DT_UNKNOWN } from "../native/constants.js";
import { native } from "../native/index.js";
import { type Directory, type Part, WH_NONE, WH_SOME } from "./directory.js";
import { holdPart, openPartListing, partFd } from "./locate.js";
import { type LowerNames, MENTIONS_LIMIT, NameGatherer } from "./lower-names.js";
import { nameOffset } from "./name-hash.js";
import type { Union } from "./union.js";

const stat = new Stat();

/**
 * What a merged directory shows: the entries as its parts list them, top first, and the order of their offsets. An offset is a hash of the
 * name, so it means the same place in every listing of the directory, whatever came and went. Only the order is sorted, and the numbers
 * that users see are worked out where they are asked for: most directories are listed once, by code that is not optimized yet.
 */
export class Listing {
  readonly names: string[] = [];
  /** DT_* */
  readonly types: number[] = [];
  /** Number of the part that shows the entry, and which of that part's it is. */
  readonly parts: number[] = [];
  readonly places: number[] = [];
  readonly lists: RawListing[] = [];
  subdirectories = 0;
  /** Offsets, ascending, and the entry of each. */
  offsets = new Float64Array(0);
  order = new Uint32Array(0);
  readonly version: number;
  /** The parts as they were then: a copy-up puts one on top. */
  readonly sources: readonly Part[];
  /** What tells the file systems of the parts apart, once that is known. */
  private fileSystems: number[] | null = null;

  constructor(directory: Directory) {
    this.version = directory.version;
    this.sources = directory.parts.slice();
  }

  /** Sets `u.inodes` to the number that the layer's object shows. */
  showNumber(u: Union, node: number, i: number): void {
    this.fileSystems ??= this.sources.map((part) => fileSystemOf(u, node, part));
    const part = this.parts[i] as number;
    const list = this.lists[part] as RawListing;
    const place = this.places[i] as number;
    u.inodes.showReal(this.fileSystems[part] as number, list.inoLow(place), list.inoHigh(place));
  }
}

const gathered = new NameGatherer();

/** Reads the listing of an upper part for what it says about later lookups: 0 or -errno. */
export function learnMarks(u: Union, node: number, part: Part): number {
  const list = readPart(u, node, part);
  return typeof list === "number" ? list : 0;
}

/**
 * Reads the listings of all parts of a directory, for later lookups and the number of subdirectories: 0 or -errno. One directory
 * of many layers costs four system calls a layer, and from then on only layers that mention a name are asked for it.
 */
export function learnNames(u: Union, node: number, directory: Directory): number {
  gathered.begin();
  for (const part of directory.parts) {
    const r = gatherPart(u, node, part);
    if (r < 0) return r;
  }
  const names = gathered.finish();
  if (directory.subdirectories < 0) directory.subdirectories = gathered.subdirectories(names);
  keepNames(u, directory, names);
  return 0;
}

function gatherPart(u: Union, node: number, part: Part): number {
  const fd = openPartListing(u, node, part);
  if (fd < 0) return fd;
  const list = gatherOpen(u, part, fd, gathered);
  ignore(native.close(fd), "nothing was written through it");
  return typeof list === "number" ? list : 0;
}

/** Gathers what the directory `fd`, which is `part`, lists: that, or -errno. */
export function gatherOpen(u: Union, part: Part, fd: number, into: NameGatherer): RawListing | number {
  const list = new RawListing();
  const count = list.read(fd);
  if (count < 0) return count;
  into.gather(list, part.layer);
  part.marked = list.marked ? WH_SOME : WH_NONE;
  part.listed = true;
  u.keptLists.keep(part, list);
  return list;
}

/** Keeps what all lower parts of a directory mention, as long as there is room. */
export function keepNames(u: Union, directory: Directory, names: LowerNames): void {
  if (directory.known !== null || u.listedNames + names.count > MENTIONS_LIMIT) return;
  for (const part of directory.parts) if (part.layer !== 0) part.known = names;
  if (directory.known !== null) u.listedNames += names.count;
}

/** Reads the listing of a part, or takes it where it was read already: that, or -errno. */
function readPart(u: Union, node: number, part: Part): RawListing | number {
  const kept = u.keptLists.take(part);
  if (kept !== undefined) return kept;
  const fd = openPartListing(u, node, part);
  if (fd < 0) return fd;
  const list = new RawListing();
  const count = list.read(fd);
  // What is open to be read leads to the names in it as well as an O_PATH descriptor.
  if (part.fd < 0) holdPart(u, node, part, fd);
  else ignore(native.close(fd), "nothing was written through it");
  if (count < 0) return count;
  part.marked = list.marked ? WH_SOME : WH_NONE;
  part.listed = true;
  return list;
}

/** What a raw entry is: its DT_* type, HIDDEN (a mark), HIDES (a whiteout of its own name), or -errno. */
const HIDDEN = 100;
const HIDES = 101;

/**
 * The last whiteout device that was judged in a part, by the inode number that both its entry and itself have. Whiteouts are mostly links of one
 * device: the others need no system call.
 */
const device = { known: false, low: 0, high: 0 };

function judgeEntry(fd: number, part: Part, raw: RawListing, k: number): number {
  const name = raw.names[k] as string;
  const type = raw.types[k] as number;
  const low = raw.inoLow(k);
  const high = raw.inoHigh(k);
  if (type === DT_CHR && device.known && low === device.low && high === device.high) return HIDES;
  const prefixed = raw.marked && name.startsWith(WHITEOUT_PREFIX);
  const suspicious = type === DT_UNKNOWN || type === DT_CHR || prefixed || (type === DT_REG && part.xattrWhiteouts);
  if (!suspicious) return type;
  const r = native.statx(fd, name, STATX_ALL, stat.bytes);
  if (r < 0) return isAbsent(r) ? HIDDEN : r;
  const real = (stat.mode & S_IFMT) >> 12;
  if (stat.isWhiteoutDevice) {
    const plain = readPlain(fd, name);
    if (plain !== 0) return plain < 0 ? plain : real;
    // A file system that does not tell the numbers of entries gives them all the same one.
    device.known = stat.inoLow === low && stat.inoHigh === high;
    device.low = low;
    device.high = high;
    return HIDES;
  }
  if (prefixed) {
    const kind = classifyMarkedName(fd, name, stat);
    if (kind < 0) return kind;
    if (kind === NAME_PLAIN) return real;
    return kind === NAME_GONE ? HIDES : kind === NAME_WHITEOUT ? HIDDEN + HIDES : HIDDEN;
  }
  if (part.xattrWhiteouts && stat.isRegular && stat.size === 0) {
    const whiteout = readXattrWhiteout(fd, name);
    return whiteout < 0 ? whiteout : whiteout === 1 ? HIDES : real;
  }
  return real;
}

/** Collects the merged entries, unordered: 0 or -errno. */
function collect(u: Union, node: number, listing: Listing): number {
  const { names, types, parts: numbers, places, sources: parts } = listing;
  const decided = parts.length > 1 ? new Set<string>() : null;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Part;
    const raw = readPart(u, node, part);
    if (typeof raw === "number") return raw;
    listing.lists.push(raw);
    const maybeMarks = raw.marked || part.xattrWhiteouts;
    const hidden: string[] = [];
    device.known = false;
    const count = raw.names.length;
    for (let k = 0; k < count; k++) {
      const name = raw.names[k] as string;
      let type = raw.types[k] as number;
      if (maybeMarks || type === DT_CHR || type === DT_UNKNOWN) {
        const fd = partFd(u, node, part);
        type = fd < 0 ? fd : judgeEntry(fd, part, raw, k);
        if (type < 0) return type;
        if (type === HIDDEN) continue;
        if (type === HIDDEN + HIDES) {
          // A `.wh.` file hides its name in the layers below, never beside itself.
          hidden.push(name.slice(WHITEOUT_PREFIX.length));
          continue;
        }
      }
      if (decided !== null) {
        if (i > 0 && decided.has(name)) continue;
        if (i < parts.length - 1) decided.add(name);
      }
      if (type === HIDES) continue;
      if (type === DT_DIR) listing.subdirectories++;
      names.push(name);
      types.push(type);
      numbers.push(i);
      places.push(k);
    }
    if (decided !== null) for (const name of hidden) decided.add(name);
  }
  return 0;
}

/** An offset without its lowest 21 bits has room for the number of an entry: both in one number, V8 sorts without a call for each comparison. */
const ROOM = 1 << 21;

/** Sorts a listing by the offsets of its names, those of one offset by name. */
function sort(listing: Listing): void {
  const { names } = listing;
  const count = names.length;
  const hashed = new Float64Array(count);
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const offset = nameOffset(names[i] as string);
    hashed[i] = offset;
    keys[i] = Math.floor(offset / ROOM) * ROOM + (i % ROOM);
  }
  keys.sort();
  const order = new Uint32Array(count);
  const offsets = new Float64Array(count);
  let crowded = count > ROOM;
  let before = 0;
  for (let k = 0; k < count; k++) {
    const key = keys[k] as number;
    const i = key & (ROOM - 1);
    order[k] = i;
    offsets[k] = hashed[i] as number;
    if (key - before < ROOM) crowded = true;
    before = key;
  }
  listing.order = order;
  listing.offsets = offsets;
  if (crowded) sortRuns(listing, hashed, keys);
}

/** Sorts those whose keys are next to each other by all of their offsets. Two names of one hash get neighbouring offsets. */
function sortRuns(listing: Listing, hashed: Float64Array, keys: Float64Array): void {
  const { names, order, offsets } = listing;
  const count = order.length;
  if (count > ROOM) for (let i = 0; i < count; i++) order[i] = i;
  for (let start = 0, end = 1; end <= count; end++) {
    if (end < count && (count > ROOM || (keys[end] as number) - (keys[end - 1] as number) < ROOM)) continue;
    order
      .subarray(start, end)
      .sort(
        (a, b) =>
          (hashed[a] as number) - (hashed[b] as number) || ((names[a] as string) < (names[b] as string) ? -1 : 1),
      );
    start = end;
  }
  let before = 0;
  for (let k = 0; k < count; k++) {
    before = Math.max(hashed[order[k] as number] as number, before + 1);
    offsets[k] = before;
  }
}

/** The merged entries of a directory, in the order of their offsets, or -errno. */
export function mergedListing(u: Union, node: number, directory: Directory): Listing | number {
  const listing = new Listing(directory);
  const r = collect(u, node, listing);
  if (r < 0) return r;
  directory.subdirectories = listing.subdirectories;
  sort(listing);
  return listing;
}

function fileSystemOf(u: Union, node: number, part: Part): number {
  const fd = partFd(u, node, part);
  return fd >= 0 && native.statx(fd, "", STATX_ALL, stat.bytes) === 0 ? u.inodes.fileSystem(stat) : 0;
}

/** Whether a merged directory shows no entry: 1, 0 or -errno. */
export function isEmpty(u: Union, node: number, directory: Directory): number {
  const listing = new Listing(directory);
  const r = collect(u, node, listing);
  return r < 0 ? r : listing.names.length === 0 ? 1 : 0;
}

/** The number of subdirectories a merged directory shows, counted once and kept up to date, or -errno. */
export function countSubdirectories(u: Union, node: number, directory: Directory): number {
  if (directory.subdirectories >= 0) return directory.subdirectories;
  if (directory.known === null) {
    const learnt = learnNames(u, node, directory);
    if (learnt < 0) return learnt;
    if (directory.subdirectories >= 0) return directory.subdirectories;
  }
  // Something above a directory may hide it.
  const listing = new Listing(directory);
  const r = collect(u, node, listing);
  if (r < 0) return r;
  directory.subdirectories = listing.subdirectories;
  return listing.subdirectories;
}
