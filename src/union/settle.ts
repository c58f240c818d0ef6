/**
 * Copies whose data is not synced before they are published: how one is marked, how it is told from a void one after a crash, and how
 * the marks are taken away. The marks are those of a metacopy whose data is being copied, so that whoever does not know better shows
 * the data below. `overlay.cowfs.pending` adds, once the data is whole, which boot of the machine wrote it:
 * - in the same boot the page cache has what the disk has not, however the driver ended;
 * - in another, the extents tell. A file system that converts them only when the data has been written (ext4, xfs, btrfs) shows
 *   no extent, or an unwritten one, where data is missing: then the copy is void, and the data is what lies below. If there
 *   is none missing, as after sync(2) and a reset, the copy is whole.
 */
import {
  EDQUOT,
  EIO,
  EMFILE,
  ENFILE,
  ENOSPC,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  ESHUTDOWN,
  errnoName,
  ignore,
} from "../errno.js";
import { HAS_METACOPY, HAS_PENDING, isNoAttribute, readPending } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { FS_IOC_GETFLAGS, O_NONBLOCK, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { takeMarks } from "./complete.js";
import { extentEnd, extentFlags, extentStart, readExtents } from "./extents.js";
import { PARK } from "./park.js";
import { decodePending, encodePending, PENDING_MOST, type Pending } from "./pending-mark.js";
import type { Union } from "./union.js";
import type { UnsyncedFile } from "./unsynced.js";

const SEEK_HOLE = 4;
const nothing = new Uint8Array(0);
const value = Buffer.alloc(PENDING_MOST);
const stat = new Stat();
const marked = new Stat();

/**
 * Whether a copy of the first `length` bytes of the open file `input` for a node may be published before it is synced. One with holes may
 * not: after a crash nobody could tell its holes from missing data. Nor may one that each write is to sync (chattr +S), since nobody
 * tells of that. Two system calls.
 */
export function mayBeUnsynced(u: Union, node: number, input: number, length: number): boolean {
  if (!u.lazy || length === 0 || u.table.isNameless(node) || !u.unsynced.hasRoom) return false;
  return native.lseek(input, 0, SEEK_HOLE) >= length && !isSynchronous(input);
}

const FS_SYNC_FL = 0x8;
const flags = new Uint32Array(2);
const flagBytes = new Uint8Array(flags.buffer);

/** Whether each write to the open file `fd` syncs it, as chattr(1) can ask for. */
export function isSynchronous(fd: number): boolean {
  return native.ioctl(fd, FS_IOC_GETFLAGS, flagBytes) >= 0 && ((flags[0] as number) & FS_SYNC_FL) !== 0;
}

/** The upper, or its quota, is full, or there are too many descriptors: nothing that would not go with a sync instead. */
function isLack(r: number): boolean {
  return r === -ENOSPC || r === -EDQUOT || r === -EMFILE || r === -ENFILE || r === -ERANGE;
}

/**
 * Marks the whole copy `fd` of `pending.before`, which nobody sees yet or which is a metacopy already, as unsynced: an entry for
 * `Unsynced.add`; null where that cannot be (it must be synced then, and no mark is left that was not there before), or -errno.
 */
export function markUnsynced(
  u: Union,
  fd: number,
  pending: Pending,
  isMetacopy: boolean,
): UnsyncedFile | null | number {
  const { names } = u.work;
  // First of all attributes: ext4 keeps it in the inode itself then, so that it reaches the disk with the size, even without a journal.
  let r = isMetacopy ? 0 : native.setxattr(fd, "", names.metacopy, nothing, 0);
  if (r === 0) r = native.setxattr(fd, "", names.pending, encodePending(pending), 0);
  if (r === 0) r = native.statx(fd, "", STATX_ALL, stat.bytes);
  if (r === 0) r = u.unsynced.log?.add(fd) ?? 0;
  const own = r < 0 ? r : native.dup(fd);
  if (own >= 0) return u.unsynced.make(own, stat, pending);
  if (own === -EOPNOTSUPP || own === -EPERM) u.lazy = false;
  else if (!isLack(own)) return own;
  if (isMetacopy) return null;
  const taken = takeMarks(fd);
  return taken < 0 ? taken : null;
}

/** Whether the file (dirfd, name), whose marks are HAS_* `marks`, has its data in itself: 1, 0 or -errno. */
export function hasData(u: Union, dirfd: number, name: string, marks: number): number {
  if ((marks & HAS_METACOPY) === 0) return 1;
  if ((marks & HAS_PENDING) === 0) return 0;
  const length = readPending(dirfd, name, value);
  if (length < 0) return isNoAttribute(length) || length === -ERANGE ? 0 : length;
  const pending = decodePending(value.latin1Slice(0, length));
  if (pending === null || pending.boot === "") return 0;
  if (pending.boot === u.unsynced.boot) return 1;
  const flags = O_RDONLY | O_NONBLOCK;
  const fd = name === "" ? native.reopen(dirfd, flags) : native.open(dirfd, name, flags, 0);
  if (fd < 0) return fd;
  const r = native.statx(fd, "", STATX_ALL, stat.bytes);
  const written = r < 0 ? r : isWritten(fd, Math.min(pending.covers, stat.size));
  ignore(native.close(fd), "only read");
  return written;
}

/** FIEMAP_EXTENT_UNKNOWN, _DELALLOC, _UNWRITTEN: no data on the disk. */
const NOT_WRITTEN = 0x2 | 0x4 | 0x800;

/** Whether the disk has the first `length` bytes of the open file `fd`: 1, 0 or -errno. */
function isWritten(fd: number, length: number): number {
  for (let at = 0; at < length; ) {
    const count = readExtents(fd, at, length);
    // No file system on which such copies are made: this one was brought from there, as a whole.
    if (count === -EOPNOTSUPP) return hasNoHole(fd, length);
    if (count <= 0) return count;
    for (let i = 0; i < count && at < length; i++) {
      const end = extentEnd(i);
      if (extentStart(i) > at || end <= at || (extentFlags(i) & NOT_WRITTEN) !== 0) return 0;
      at = end;
    }
  }
  return 1;
}

function hasNoHole(fd: number, length: number): number {
  const hole = native.lseek(fd, 0, SEEK_HOLE);
  return hole === -ENXIO ? 0 : hole < 0 ? hole : hole >= length ? 1 : 0;
}

/** Before the copy's beginning shrinks: what is cut off need not be there after a crash. After a truncation to `size`. */
export function noteCut(u: Union, node: number, size: number): void {
  const one = u.unsynced.of(node);
  if (one === undefined || size >= one.pending.covers) return;
  const pending = { ...one.pending, covers: size };
  one.pending = pending;
  const r = native.setxattr(one.fd, "", u.work.names.pending, encodePending(pending), 0);
  ignore(r, "without it the copy counts as void after a crash if the file grows again");
}

/**
 * Makes sure that a crash of the machine does not bring the data below back: 0 (at once where nothing is unsynced), PARK until a job
 * has synced the data, or -errno, also of a sync in the background that nobody has heard of. The taking away
 * of the marks is not synced.
 */
export function settle(u: Union, node: number): number {
  const one = u.unsynced.of(node);
  return one === undefined ? 0 : settleFile(u, one);
}

function settleFile(u: Union, one: UnsyncedFile): number {
  if (one.untold < 0) {
    const r = one.untold;
    one.untold = 0;
    return r;
  }
  if (one.durable) return finish(u, one);
  if (one.job === 0) {
    const job = u.copies.newJob();
    const r = native.jobFlush(job, one.fd, 0);
    if (r === -ESHUTDOWN) return syncNow(u, one);
    if (r < 0) return r;
    u.unsynced.begin(job, [one]);
  }
  one.awaited = true;
  u.parkedOn = one.job;
  return PARK;
}

/** Syncs a copy, and takes its marks away, on the calling thread: 0 or -errno. */
export function syncNow(u: Union, one: UnsyncedFile): number {
  const synced = native.fsync(one.fd);
  return synced < 0 ? synced : finish(u, one);
}

/** The same for all files: for whoever syncs the file system. */
export function settleEach(u: Union): number {
  const { unsynced } = u;
  const waiting = [...unsynced.files].filter((one) => one.job === 0 && !one.durable && one.untold === 0 && !one.alone);
  if (waiting.length > 1) {
    const job = u.copies.newJob();
    const r = native.jobFlush(job, unsynced.upper, 2);
    if (r === 0) unsynced.begin(job, waiting);
    else if (r !== -ESHUTDOWN) return r;
  }
  for (const one of unsynced.files) {
    const r = settleFile(u, one);
    if (r !== 0) return r;
  }
  return 0;
}

/** Takes away the marks of a file that is on the disk: 0 or -errno; EIO if it is not, though a sync said so after one that failed. */
function finish(u: Union, one: UnsyncedFile): number {
  const known = native.statx(one.fd, "", STATX_ALL, marked.bytes);
  if (one.suspect) {
    const written = known < 0 ? known : isWritten(one.fd, Math.min(one.pending.covers, marked.size));
    one.durable = written === 1;
    if (written !== 1) return written === 0 ? -EIO : written;
  }
  const r = takeMarks(one.fd);
  if (r < 0) return r;
  const seen = known < 0 ? known : native.statx(one.fd, "", STATX_ALL, stat.bytes);
  if (seen === 0) u.unsynced.keepChangeTime(marked, stat.ctimeWords);
  u.unsynced.drop(one);
  return 0;
}

/** The job of one or many files has ended: whether it was one of these. What waits is dispatched again, or gets the error. */
export function flushed(u: Union, job: number, result: number): boolean {
  const files = u.unsynced.end(job);
  if (files === undefined) return false;
  const many = files.length > 1;
  for (const one of files) {
    if (one.job !== job) continue;
    one.job = 0;
    if (result >= 0) one.durable = true;
    else one.suspect = one.alone = true;
    if (result < 0 && !many && !one.awaited) {
      one.untold = result;
      u.log("error", "a copied-up file could not be synced; until it can be, the lower one comes back after a crash", {
        path: one.node > 0 ? u.describe(one.node) : "(unknown)",
        error: errnoName(result),
      });
    }
    one.awaited = false;
  }
  u.unsynced.onSynced();
  return true;
}

/** So many and more are synced by one syncfs, which writes what others have changed, too. After an error each is by itself, to find out whose it is. */
const manyFiles = 8;
/** Files whose marks are taken away in one turn, so that requests need not wait. */
const turn = 32;

/**
 * One step of what goes on in the background: takes the marks from some files that are on the disk, or begins to sync others that are
 * due. Whether there is more to do at once.
 */
export function settleSome(u: Union): boolean {
  const { unsynced } = u;
  let done = 0;
  const waiting: UnsyncedFile[] = [];
  for (const one of unsynced.files) {
    if (done === turn) return true;
    if (one.durable && one.untold === 0) {
      done++;
      const r = finish(u, one);
      if (r === 0) continue;
      one.untold = r;
      u.log("error", "the marks of a copied-up file could not be removed", { error: errnoName(r) });
    } else if (one.due && one.job === 0 && one.untold === 0) waiting.push(one);
  }
  const [first] = waiting;
  if (first === undefined || unsynced.isSyncing) return false;
  const together = waiting.filter((one) => !one.alone);
  const many = together.length >= manyFiles;
  const job = u.copies.newJob();
  const r = many ? native.jobFlush(job, unsynced.upper, 2) : native.jobFlush(job, first.fd, 0);
  if (r < 0) ignore(r, "the next step, or the end of the mount, tries again");
  else unsynced.begin(job, many ? together : [first]);
  return false;
}

/** At the end of the mount: all marks go, but for those of what cannot be synced. */
export function settleAll(u: Union): void {
  const { unsynced } = u;
  if (unsynced.count === 0) return;
  const synced = native.syncfs(unsynced.upper);
  if (synced < 0) u.log("error", "the upper could not be synced", { error: errnoName(synced) });
  for (const one of [...unsynced.files]) {
    let r = one.untold;
    if (r === 0 && (synced < 0 || one.alone)) r = native.fsync(one.fd);
    if (r === 0) r = finish(u, one);
    if (r < 0) {
      u.log("error", "a copied-up file could not be synced: after a crash the lower one comes back", {
        path: one.node > 0 ? u.describe(one.node) : "(unknown)",
        error: errnoName(r),
      });
    }
  }
  unsynced.abandon();
}

/** A name of the node is gone: a file without any need not be synced, and must not keep its blocks. */
export function dropIfGone(u: Union, node: number): void {
  const one = u.unsynced.of(node);
  if (one === undefined) return;
  const r = native.statx(one.fd, "", STATX_ALL, stat.bytes);
  if (r === 0 && stat.nlink === 0) u.unsynced.drop(one);
}

/**
 * What the attributes of a void copy, which `found` describes, must say while it cannot be changed; null if its mark does not tell. The mode of one
 * that was finished stays, as users may have changed it since.
 */
export function voidBefore(dirfd: number, name: string, found: Stat): Stat | null {
  const length = readPending(dirfd, name, value);
  const pending = length < 0 ? null : decodePending(value.latin1Slice(0, length));
  if (pending === null) return null;
  const { before, boot } = pending;
  before.mode = boot === "" ? (found.mode & ~0o7777) | before.mode : found.mode;
  return before;
}
