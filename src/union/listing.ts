/** Merged listings: what readdir shows, what rmdir must find empty, what st_nlink counts. */
import { ignore, isAbsent } from "../errno.js";
import { type EntrySink, readEntries, readListing } from "../layer/listing.js";
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
import { openPartListing, partFd } from "./locate.js";
import { type LowerNames, MENTIONS_LIMIT, NameGatherer } from "./lower-names.js";
import type { Union } from "./union.js";

const stat = new Stat();

/**
 * The entries of a merged directory, in the order of their offsets. An offset is a hash of the name, so it means the same
 * place in every listing of the directory, whatever came and went.
 */
export interface Listing {
  readonly names: string[];
  readonly types: Uint8Array;
  /** Number of the part that shows the entry. */
  readonly parts: Uint16Array;
  readonly inoLow: Uint32Array;
  readonly inoHigh: Uint32Array;
  readonly offsets: Float64Array;
  readonly version: number;
}

/** 53 bits of a name, above the offsets of `.` and `..`. */
function offsetOf(name: string): number {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ (c + i), 0x5bd1e995);
    b ^= b >>> 13;
  }
  a ^= a >>> 15;
  return ((b >>> 0) & 0xfffff) * 4294967296 + (a >>> 0) + 16;
}

/** The raw entries of one part, as getdents(2) gives them. */
class RawEntries implements EntrySink {
  names: string[] = [];
  types: number[] = [];
  lows: number[] = [];
  highs: number[] = [];
  entry(name: string, type: number, low: number, high: number): void {
    this.names.push(name);
    this.types.push(type);
    this.lows.push(low);
    this.highs.push(high);
  }
}

const gathered = new NameGatherer();

/** Reads the listing of an upper part for what it says about later lookups: 0 or -errno. */
export function learnMarks(u: Union, node: number, part: Part): number {
  return Math.min(readPart(u, node, part, new RawEntries()), 0);
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
  gathered.beginLayer(part.layer);
  const fd = openPartListing(u, node, part);
  if (fd < 0) return fd;
  const count = readEntries(fd, gathered);
  ignore(native.close(fd), "nothing was written through it");
  if (count < 0) return count;
  part.marked = gathered.marked ? WH_SOME : WH_NONE;
  part.listed = true;
  return 0;
}

/** Keeps what all lower parts of a directory mention, as long as there is room. */
export function keepNames(u: Union, directory: Directory, names: LowerNames): void {
  if (directory.known !== null || u.listedNames + names.count > MENTIONS_LIMIT) return;
  for (const part of directory.parts) if (part.layer !== 0) part.known = names;
  if (directory.known !== null) u.listedNames += names.count;
}

function readPart(u: Union, node: number, part: Part, raw: RawEntries): number {
  const fd = partFd(u, node, part);
  if (fd < 0) return fd;
  const count = readListing(fd, raw);
  if (count < 0) return count;
  const marks = raw.names.some((name) => name.startsWith(WHITEOUT_PREFIX));
  part.marked = marks ? WH_SOME : WH_NONE;
  part.listed = true;
  return fd;
}

/** What a raw entry is: its DT_* type, HIDDEN (a mark), HIDES (a whiteout of its own name), or -errno. */
const HIDDEN = 100;
const HIDES = 101;

/**
 * The last whiteout device that was judged in a part, by the inode number that both its entry and itself have. Whiteouts are mostly links of one
 * device: the others need no system call.
 */
const device = { known: false, low: 0, high: 0 };

function judgeEntry(fd: number, part: Part, raw: RawEntries, k: number): number {
  const name = raw.names[k] as string;
  const type = raw.types[k] as number;
  const low = raw.lows[k] as number;
  const high = raw.highs[k] as number;
  if (type === DT_CHR && device.known && low === device.low && high === device.high) return HIDES;
  const prefixed = name.startsWith(WHITEOUT_PREFIX);
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

/** Collects the merged entries, unordered: 0 or -errno. `each` gets the part's number and the inode number of its layer. */
function collect(
  u: Union,
  node: number,
  directory: Directory,
  each: (part: number, fd: number, name: string, type: number, low: number, high: number) => void,
): number {
  const { parts } = directory;
  const decided = parts.length > 1 ? new Set<string>() : null;
  const gathers = parts.length === 1 && directory.upper === null && directory.known === null;
  if (gathers) gathered.begin();
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Part;
    const raw = new RawEntries();
    const fd = readPart(u, node, part, raw);
    if (fd < 0) return fd;
    if (gathers) {
      gathered.beginLayer(part.layer);
      for (let k = 0; k < raw.names.length; k++) gathered.entry(raw.names[k] as string, raw.types[k] as number);
      keepNames(u, directory, gathered.finish());
    }
    const hidden: string[] = [];
    device.known = false;
    for (let k = 0; k < raw.names.length; k++) {
      const name = raw.names[k] as string;
      const type = judgeEntry(fd, part, raw, k);
      if (type < 0) return type;
      if (type === HIDDEN) continue;
      if (type === HIDDEN + HIDES) {
        // A `.wh.` file hides its name in the layers below, never beside itself.
        hidden.push(name.slice(WHITEOUT_PREFIX.length));
        continue;
      }
      if (decided !== null) {
        if (decided.has(name)) continue;
        decided.add(name);
      }
      if (type !== HIDES) each(i, fd, name, type, raw.lows[k] as number, raw.highs[k] as number);
    }
    if (decided !== null) for (const name of hidden) decided.add(name);
  }
  return 0;
}

/** The entries by their offsets, those of one offset by name. V8 sorts numbers alone without a call for each comparison. */
function inOrder(offsets: Float64Array, names: readonly string[]): Uint32Array {
  const order = new Uint32Array(names.length);
  const places = new Map<number, number>();
  for (let i = 0; i < offsets.length; i++) places.set(offsets[i] as number, i);
  if (places.size === offsets.length) {
    const sorted = offsets.slice().sort();
    for (let k = 0; k < sorted.length; k++) order[k] = places.get(sorted[k] as number) as number;
    return order;
  }
  for (let i = 0; i < order.length; i++) order[i] = i;
  return order.sort(
    (a, b) => (offsets[a] as number) - (offsets[b] as number) || ((names[a] as string) < (names[b] as string) ? -1 : 1),
  );
}

/** The merged entries of a directory, sorted by offset, or -errno. */
export function mergedListing(u: Union, node: number, directory: Directory): Listing | number {
  const names: string[] = [];
  const types: number[] = [];
  const parts: number[] = [];
  const lows: number[] = [];
  const highs: number[] = [];
  const r = collect(u, node, directory, (part, _fd, name, type, low, high) => {
    names.push(name);
    types.push(type);
    parts.push(part);
    lows.push(low);
    highs.push(high);
  });
  if (r < 0) return r;
  const unsorted = new Float64Array(names.length);
  for (let i = 0; i < names.length; i++) unsorted[i] = offsetOf(names[i] as string);
  const order = inOrder(unsorted, names);
  const fileSystems = directory.parts.map((part) => fileSystemOf(u, node, part));
  const count = order.length;
  const listing: Listing = {
    names: Array.from(order, (i) => names[i] as string),
    types: new Uint8Array(count),
    parts: new Uint16Array(count),
    inoLow: new Uint32Array(count),
    inoHigh: new Uint32Array(count),
    offsets: new Float64Array(count),
    version: directory.version,
  };
  let subdirectories = 0;
  let before = 0;
  for (let k = 0; k < count; k++) {
    const i = order[k] as number;
    const part = parts[i] as number;
    listing.types[k] = types[i] as number;
    listing.parts[k] = part;
    if (types[i] === DT_DIR) subdirectories++;
    u.inodes.showReal(fileSystems[part] as number, lows[i] as number, highs[i] as number);
    listing.inoLow[k] = u.inodes.low;
    listing.inoHigh[k] = u.inodes.high;
    // Two names of one hash get neighbouring offsets.
    before = Math.max(unsorted[i] as number, before + 1);
    listing.offsets[k] = before;
  }
  directory.subdirectories = subdirectories;
  return listing;
}

function fileSystemOf(u: Union, node: number, part: Part): number {
  const fd = partFd(u, node, part);
  return fd >= 0 && native.statx(fd, "", STATX_ALL, stat.bytes) === 0 ? u.inodes.fileSystem(stat) : 0;
}

/** Whether a merged directory shows no entry: 1, 0 or -errno. */
export function isEmpty(u: Union, node: number, directory: Directory): number {
  let count = 0;
  const r = collect(u, node, directory, () => void count++);
  return r < 0 ? r : count === 0 ? 1 : 0;
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
  let count = 0;
  const r = collect(u, node, directory, (_part, _fd, _name, type) => {
    if (type === DT_DIR) count++;
  });
  if (r < 0) return r;
  directory.subdirectories = count;
  return count;
}
