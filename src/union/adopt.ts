/** Copies that an earlier driver left unsynced (settle.ts): they are settled by this one. */
import { ESTALE, EXDEV, errnoName, ignore, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { HAS_METACOPY, HAS_PENDING, readObjectMarks, readPending } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, DT_REG, DT_UNKNOWN, O_DIRECTORY, O_NOATIME, O_NONBLOCK, O_PATH, O_RDWR } from "../native/constants.js";
import { native } from "../native/index.js";
import { recoverMetacopy, takeMarks } from "./complete.js";
import { decodePending, PENDING_MOST } from "./pending-mark.js";
import { hasData } from "./settle.js";
import type { Union } from "./union.js";

const BOTH = HAS_METACOPY | HAS_PENDING;
const value = Buffer.alloc(PENDING_MOST);
const stat = new Stat();

/**
 * The upper file (dirfd, name), which `found` describes, is an unsynced copy, and whole: `node` (0 for none) is its node from now on.
 * 0 or -errno.
 */
export function adopt(u: Union, node: number, dirfd: number, name: string, found: Stat): number {
  const { unsynced } = u;
  const known = unsynced.find(found);
  if (known !== undefined) {
    if (node > 0) unsynced.attach(known, node);
    return 0;
  }
  const flags = O_RDWR | O_NOATIME | O_NONBLOCK;
  const fd = name === "" ? native.reopen(dirfd, flags) : native.open(dirfd, name, flags, 0);
  if (fd < 0) return fd;
  const length = readPending(fd, "", value);
  const pending = length < 0 ? null : decodePending(value.latin1Slice(0, length));
  const thisBoot = pending?.boot === unsynced.boot;
  if (pending !== null && thisBoot && unsynced.hasRoom) {
    ignore(unsynced.log?.add(fd) ?? 0, "without it the file is found when somebody looks for it");
    const one = unsynced.make(fd, found, pending);
    // Whether a sync failed before, nobody knows any more.
    one.suspect = true;
    unsynced.add(one, node);
    return 0;
  }
  // Too many: this one now. That of another boot is on the disk, as its extents say.
  let r = pending === null ? Math.min(length, 0) : thisBoot ? native.fsync(fd) : 0;
  if (r === 0) r = takeMarks(fd);
  ignore(native.close(fd), "it was synced");
  return r;
}

/**
 * What an earlier driver that was killed, or a crash of the machine, left unsynced: `left` is what its log says, as `readUnsyncedLog`
 * returns it. Without a usable log the whole upper is looked through.
 */
export function adoptAll(u: Union, left: readonly Buffer[] | number): void {
  const { unsynced } = u;
  let r = unsynced.log?.resume() ?? 0;
  const handles = typeof left === "number" ? left : adoptHandles(u, left);
  const found = handles < 0 ? adoptUpper(u) : 0;
  if (r === 0) r = found;
  if (r === 0) {
    unsynced.clearLog();
    return;
  }
  unsynced.keepLog();
  u.log("warn", "not all copies that were not synced could be found: they will be when they are used", {
    error: errnoName(r),
  });
}

/** 0, or -errno if they are not all that there are. */
function adoptHandles(u: Union, handles: readonly Buffer[]): number {
  for (const handle of handles) {
    const fd = native.openByHandle(u.unsynced.upper, handle, O_PATH);
    // Removed meanwhile.
    if (fd === -ESTALE) continue;
    if (fd < 0) return fd;
    const r = adoptIfMarked(u, fd, "");
    ignore(native.close(fd), "an O_PATH descriptor");
    if (r < 0) return r;
  }
  return 0;
}

/** The object (dirfd, name) of the upper may be such a copy: 0 or -errno. */
function adoptIfMarked(u: Union, dirfd: number, name: string): number {
  const r = native.statx(dirfd, name, STATX_ALL, stat.bytes);
  if (r < 0 || !stat.isRegular || stat.nlink === 0) return isAbsent(r) ? 0 : Math.min(r, 0);
  const found = new Stat();
  found.copyFrom(stat);
  const marks = readObjectMarks(dirfd, name);
  if (marks < 0 || (marks & BOTH) !== BOTH) return Math.min(marks, 0);
  const own = hasData(u, dirfd, name, marks);
  if (own < 0) return own;
  if (own === 1) return adopt(u, 0, dirfd, name, found);
  return name === "" ? 0 : recoverMetacopy(dirfd, name);
}

/** Costs a listxattr(2) for each file of the upper. 0, or the -errno of one that could not be looked at. */
function adoptUpper(u: Union): number {
  const root = u.layers[0]?.root as number;
  const directories = [""];
  let result = 0;
  for (let path = directories.pop(); path !== undefined; path = directories.pop()) {
    const flags = O_PATH | O_DIRECTORY;
    const fd = path === "" ? native.dup(root) : native.openBeneath(root, path, flags);
    // A mount, or a path that nobody could open.
    if (fd === -EXDEV || isAbsent(fd)) continue;
    const r = fd < 0 ? fd : adoptIn(u, fd, path, directories);
    if (fd >= 0) ignore(native.close(fd), "an O_PATH descriptor");
    if (r < 0) result = r;
  }
  const index = u.index?.directory ?? -1;
  const r = index < 0 ? 0 : adoptIn(u, index, "", []);
  return r < 0 ? r : result;
}

function adoptIn(u: Union, fd: number, path: string, directories: string[]): number {
  const files: string[] = [];
  const read = readListing(fd, {
    entry: (name, type) => {
      if (type === DT_DIR || type === DT_UNKNOWN) directories.push(path === "" ? name : `${path}/${name}`);
      if (type === DT_REG || type === DT_UNKNOWN) files.push(name);
    },
  });
  let result = Math.min(read, 0);
  for (const name of files) {
    const r = adoptIfMarked(u, fd, name);
    if (r < 0) result = r;
  }
  return result;
}
