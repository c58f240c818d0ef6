import { EBADF, ENOENT, ESTALE, isAbsent } from "../../errno.js";
import { S_IFMT } from "../../layer/stat.js";
import { DT_DIR, DT_REG, DT_UNKNOWN } from "../../native/constants.js";
import type { Directory } from "../directory.js";
import type { DirectoryHandle } from "../handles.js";
import { isImpure } from "../impure.js";
import { type Listing, mergedListing } from "../listing.js";
import { ROOT } from "../node-table.js";
import { nodeAt } from "../remove.js";
import { release } from "../rows.js";
import type { Union } from "../union.js";
import { lookupIn } from "./lookup.js";

/** Receives directory entries; lives as long as the session. */
export interface DirSink {
  /** Whether the reply has room for an entry of this name. */
  fits(name: string): boolean;
  /**
   * `type` is DT_*; `next` the offset to continue at. With READDIRPLUS, `nodeid` is not 0 but for `.` and `..`: `u.stat`
   * has the attributes and one lookup was counted.
   */
  add(name: string, type: number, inoLow: number, inoHigh: number, next: number, nodeid: number): void;
}

/** Offsets of the entries after `.` and after `..`; names start above. */
const AFTER_DOT = 1;
const AFTER_DOT_DOT = 2;

/**
 * Gives the entries from `offset` on to `sink` as long as they fit: 0 or -errno. Offset 0 reads the directory anew. With
 * `plus`, each entry is looked up too, and one that has gone meanwhile is left out.
 */
export function readdir(u: Union, handle: number, offset: number, plus: boolean, sink: DirSink): number {
  const open = u.handles.get(handle);
  if (open === undefined) return -EBADF;
  const { node } = open;
  const directory = u.table.directory(node);
  if (directory === undefined) return -ESTALE;
  const removed = u.table.isNameless(node) && node !== ROOT;
  if (offset < AFTER_DOT_DOT && !addDots(u, node, removed, offset, sink)) return 0;
  if (removed) return 0;
  const listing = listingOf(u, open, offset);
  if (typeof listing === "number") return listing;
  const { names, order, offsets } = listing;
  const isFresh = listing.version === directory.version;
  for (let k = firstAfter(offsets, offset); k < order.length; k++) {
    const i = order[k] as number;
    const name = names[i] as string;
    if (!sink.fits(name)) break;
    const next = offsets[k] as number;
    if (plus) {
      const child = lookupIn(u, node, directory, name, isFresh ? (listing.parts[i] as number) : -1);
      if (child >= 0) {
        sink.add(name, (u.stat.mode & S_IFMT) >> 12, u.stat.inoLow, u.stat.inoHigh, next, child);
        continue;
      }
      // One entry that cannot be read must not hide the others: it is listed, and its own lookup says what is wrong.
      if (isAbsent(child)) continue;
    }
    listing.showNumber(u, node, i);
    if (!plus && mayDiffer(u, node, directory, listing, i)) childNumber(u, node, directory, name);
    const type = listing.types[i] as number;
    sink.add(name, plus ? type : shownType(u, type), u.inodes.low, u.inodes.high, next, 0);
  }
  return 0;
}

/** A regular file may store that it is shown as something else: only its attributes tell. */
function shownType(u: Union, type: number): number {
  return type === DT_REG && (u.ownership?.stored ?? null) !== null ? DT_UNKNOWN : type;
}

/**
 * Whether stat(2) may show another inode number for an entry than the listing of its layer: for copies in the upper, and for
 * directories that are merged. Only of those is more asked than a listing says.
 */
function mayDiffer(u: Union, node: number, directory: Directory, listing: Listing, i: number): boolean {
  if (listing.sources[listing.parts[i] as number]?.layer !== 0) return false;
  if (listing.types[i] === DT_DIR && directory.hasLower) return true;
  return isImpure(u, node) !== 0;
}

/** Sets `u.inodes` to the number that an entry shows, and leaves it as it is where that cannot be told (or read). */
function childNumber(u: Union, node: number, directory: Directory, name: string): void {
  const { inodes, table } = u;
  const { low, high } = inodes;
  const child = nodeAt(u, node, directory, name);
  inodes.low = child < 0 ? low : table.inoLow(child);
  inodes.high = child < 0 ? high : table.inoHigh(child);
  if (child > 0) release(u, child);
}

/** The listing that offsets of this handle refer to. */
function listingOf(u: Union, open: DirectoryHandle, offset: number): Listing | number {
  const directory = u.table.directory(open.node);
  if (directory === undefined) return -ENOENT;
  if (open.listing !== null && (offset > AFTER_DOT_DOT || open.listing.version === directory.version))
    return open.listing;
  const listing = mergedListing(u, open.node, directory);
  if (typeof listing === "number") return listing;
  open.listing = listing;
  return listing;
}

function addDots(u: Union, node: number, removed: boolean, offset: number, sink: DirSink): boolean {
  const { table } = u;
  if (offset < AFTER_DOT) {
    if (!sink.fits(".")) return false;
    sink.add(".", DT_DIR, table.inoLow(node), table.inoHigh(node), AFTER_DOT, 0);
  }
  if (!sink.fits("..")) return false;
  const parent = removed ? node : table.parent(node);
  sink.add("..", DT_DIR, table.inoLow(parent), table.inoHigh(parent), AFTER_DOT_DOT, 0);
  return true;
}

/** Index of the first offset above `offset`. */
function firstAfter(offsets: Float64Array, offset: number): number {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((offsets[middle] as number) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
