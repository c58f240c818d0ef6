import { errnoName, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, DT_UNKNOWN, O_DIRECTORY, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { StoreError } from "../store/error.js";
import { bytesOf, shown } from "../text.js";

/** A name of a layer that leads to a copy in the upper, which has that copy under other names only. Paths are absolute, bytes in latin1 strings. */
export interface LinkedName {
  readonly path: string;
  /** One of the names in the upper. */
  readonly first: string;
  /** Of the layer's file: its number in two words, `HIGH:LOW`. */
  readonly inode: string;
}

/** struct ovl_fb, docs/formats.md "Inode numbers": type of the handle, and where the handle begins. */
const TYPE_AT = 4;
const HANDLE_AT = 21;

/**
 * The names in `lowers` of files with several links of which the upper has a copy, found by the index in `work`, and that the upper does not have; whether
 * they show is for the caller to see. Nothing but one listing is read where there is no index; otherwise the upper and all layers are walked, without
 * a look at their files. The layers lie on one file system. Throws StoreError.
 */
export function linkedNames(upper: string, work: string, lowers: readonly string[]): LinkedName[] {
  const copies = copiesIn(`${work}/index`, lowers);
  if (copies.size === 0) return [];
  const wanted = new Set(copies.values());
  const inUpper = new Map<string, string>();
  walk(upper, (inode, path) => {
    if (wanted.has(inode) && !inUpper.has(inode)) inUpper.set(inode, path);
  });
  const found: LinkedName[] = [];
  for (const lower of lowers) {
    walk(lower, (inode, path) => {
      const first = inUpper.get(copies.get(inode) ?? "");
      if (first !== undefined) found.push({ path, first, inode });
    });
  }
  return found;
}

/** The entries of an index: inode of the lower file → inode of its copy. */
function copiesIn(index: string, lowers: readonly string[]): Map<string, string> {
  const copies = new Map<string, string>();
  const directory = native.openFollow(bytesOf(index), O_PATH | O_DIRECTORY);
  if (isAbsent(directory)) return copies;
  check(directory, index);
  const place = native.openFollow(bytesOf(lowers[0] ?? index), O_RDONLY | O_DIRECTORY);
  const stat = new Stat();
  try {
    check(place, index);
    const names: string[] = [];
    check(readListing(directory, { entry: (name) => void names.push(name) }), index);
    for (const name of names) {
      check(native.statx(directory, name, STATX_ALL, stat.bytes), index);
      // A whiteout of the kernel's: nothing was copied.
      if (stat.isWhiteoutDevice || stat.isDirectory) continue;
      const copy = `${stat.inoHigh}:${stat.inoLow}`;
      const lower = openOrigin(place, name);
      if (lower < 0) continue;
      const looked = native.statx(lower, "", STATX_ALL, stat.bytes);
      native.close(lower);
      check(looked, index);
      copies.set(`${stat.inoHigh}:${stat.inoLow}`, copy);
    }
  } finally {
    native.close(directory);
    if (place >= 0) native.close(place);
  }
  return copies;
}

/** Opens the lower file that an entry of the index is called after; -errno if there is none any more. */
function openOrigin(place: number, name: string): number {
  const origin = Buffer.from(name, "hex");
  const handle = Buffer.alloc(8 + Math.max(0, origin.length - HANDLE_AT));
  handle.writeUInt32LE(handle.length - 8, 0);
  handle.writeInt32LE(origin[TYPE_AT] ?? 0, 4);
  origin.copy(handle, 8, HANDLE_AT);
  return native.openByHandle(place, handle, O_PATH);
}

function check(result: number, path: string): number {
  if (result < 0) throw new StoreError(`${shown(path)} cannot be read: ${errnoName(result)}`);
  return result;
}

function isDirectory(fd: number, name: string): boolean {
  const stat = new Stat();
  return native.statx(fd, name, STATX_ALL, stat.bytes) === 0 && stat.isDirectory;
}

/** Tells all names of a tree but those of directories, with their inodes. */
function walk(tree: string, tell: (inode: string, path: string) => void): void {
  const inside = (fd: number, path: string): void => {
    const directories: string[] = [];
    const entry = (name: string, type: number, low: number, high: number): void => {
      if (type === DT_DIR || (type === DT_UNKNOWN && isDirectory(fd, name))) directories.push(name);
      else tell(`${high}:${low}`, `${path}/${name}`);
    };
    check(readListing(fd, { entry }), path);
    for (const name of directories) {
      const next = check(native.openBeneath(fd, name, O_PATH | O_DIRECTORY), `${path}/${name}`);
      try {
        inside(next, `${path}/${name}`);
      } finally {
        native.close(next);
      }
    }
  };
  const root = check(native.openFollow(bytesOf(tree), O_PATH | O_DIRECTORY), tree);
  try {
    inside(root, "");
  } finally {
    native.close(root);
  }
}
