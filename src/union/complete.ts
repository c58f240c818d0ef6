/**
 * Before the data of a metacopy changes, it is copied into it: into the same inode, so that hard links and the index stay
 * what they are. Writing disturbs times, set-id bits and capabilities; `overlay.cowfs.pending` holds them meanwhile. The
 * mark goes last, when the data is synced (perhaps later: settle.ts): until then the data below is what counts after a crash, and
 * the next mount puts the attributes back.
 */
import { ignore } from "../errno.js";
import { isNoAttribute, metacopyNames, pendingNames, readPending, redirectNames } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_NOATIME, O_NONBLOCK, O_RDWR, UTIME_NOW } from "../native/constants.js";
import { native } from "../native/index.js";
import type { Completion } from "./copies.js";
import { keepBelow, sourceFd } from "./data-source.js";
import { dropSource, hold } from "./held.js";
import { statBacking } from "./locate.js";
import { ACCESS_WRITE, DATA_OWN } from "./node-table.js";
import { PARK } from "./park.js";
import { decodePending, encodePending, type Pending } from "./pending-mark.js";
import { dropLookup } from "./rows.js";
import { isSynchronous, markUnsynced, mayBeUnsynced } from "./settle.js";
import type { Union } from "./union.js";

const CAPABILITY = "security.capability";
const value = Buffer.alloc(512);
const nothing = new Uint8Array(0);

/** Copies the data of an upper metacopy, at most `size` bytes, to which it is then cut: 0, PARK, or -errno. */
export function completeData(u: Union, node: number, size: number): number {
  const before = new Stat();
  const input = size === 0 ? 0 : sourceFd(u, node);
  if (input < 0) return input;
  let r = statBacking(u, node, before);
  if (r < 0) return r;
  const flags = O_RDWR | O_NOATIME | O_NONBLOCK;
  const fd = u.atName === "" ? native.reopen(u.atFd, flags) : native.open(u.atFd, u.atName, flags, 0);
  if (fd < 0) return fd;
  // What an earlier attempt left undone comes first: `before` must be what the file was before that.
  r = recover(fd);
  if (r === 0) r = native.statx(fd, "", STATX_ALL, before.bytes);
  const length = Math.min(size, before.size);
  const needed = r < 0 || length === 0 ? r : (u.quota?.forCopy(input, length) ?? 0);
  if (needed < 0) return closed(fd, needed);
  const capability = native.getxattr(fd, "", CAPABILITY, value);
  r = capability < 0 && !isNoAttribute(capability) ? capability : 0;
  const covers = mayBeUnsynced(u, node, input, length) && !isSynchronous(fd) ? length : 0;
  const completion: Completion = {
    before,
    cut: length < before.size,
    capability: capability > 0 ? Buffer.from(value.subarray(0, capability)) : null,
    boot: "",
    covers,
  };
  if (r === 0) r = native.setxattr(fd, "", u.work.names.pending, encodePending(completion), 0);
  if (r < 0) return closed(fd, r);
  const syncs = length > 0 && covers === 0 && !u.volatile;
  if (u.copiesInline(length, syncs)) {
    r = length === 0 ? native.truncate(fd, 0) : native.copyData(input, fd, length);
    if (r >= 0 && syncs) r = native.fsync(fd);
    return conclude(u, node, fd, completion, Math.min(r, 0));
  }
  const job = u.copies.newJob();
  r = native.jobCopy(job, input, fd, length, syncs ? 1 : 0);
  if (r < 0) return conclude(u, node, fd, completion, r);
  // The row, with it what the kernel may ask about meanwhile, stays until the data is there.
  u.table.addLookup(node);
  u.quota?.begin(job, fd, needed);
  u.copies.add({ job, node, temporary: "", fd, stored: 0, unsynced: null, abandoned: false, completes: completion });
  u.parkedOn = job;
  return PARK;
}

function closed(fd: number, result: number): number {
  ignore(native.close(fd), "no data was written through it");
  return result;
}

/** The job of `completeData` has ended with `result`: 0 or the -errno that whoever waits gets. */
export function finishCompletion(u: Union, node: number, fd: number, completion: Completion, result: number): number {
  const r = conclude(u, node, fd, completion, result);
  dropLookup(u, node);
  return r;
}

/** Data has been copied, or has not (`result`): the file is made one with data, or the metacopy that it was. Takes over `fd`. */
function conclude(u: Union, node: number, fd: number, completion: Completion, result: number): number {
  let r = result;
  if (r === 0) r = putBack(fd, completion, completion.cut);
  if (r === 0) r = keepBelow(u, node);
  const lazy = r === 0 && completion.covers > 0;
  const unsynced = lazy ? markUnsynced(u, fd, { ...completion, boot: u.unsynced.boot }, true) : null;
  if (typeof unsynced === "number") r = unsynced;
  else if (unsynced !== null) {
    u.unsynced.add(unsynced, node);
    own(u, node, fd);
    return 0;
  }
  if (r === 0 && lazy) r = native.fsync(fd);
  if (r === 0) r = unmark(fd);
  if (r < 0) {
    const undone = undo(fd, completion);
    if (undone < 0) u.warn("attributes of a file could not be put back; the next mount does", node, "", undone);
    u.quota?.measure(fd);
    return closed(fd, r);
  }
  dropRest(fd);
  own(u, node, fd);
  return 0;
}

/** The node's data is in its own backing, which `fd` is. */
function own(u: Union, node: number, fd: number): void {
  u.quota?.measure(fd);
  u.table.setData(node, DATA_OWN);
  dropSource(u, node);
  hold(u, node, fd, ACCESS_WRITE);
}

/** Takes all that says that the data of the open file `fd` is not its own away: 0, or -errno with the mark of a metacopy still there. */
export function takeMarks(fd: number): number {
  const r = unmark(fd);
  if (r === 0) dropRest(fd);
  return r;
}

function dropRest(fd: number): void {
  for (const attribute of [...pendingNames, ...redirectNames]) {
    const r = native.removexattr(fd, "", attribute);
    if (r < 0 && !isNoAttribute(r)) ignore(r, "without the mark of a metacopy it means nothing");
  }
}

/** What writing disturbed, all but the size. A file that was `cut` has been changed by whoever wanted that. */
function putBack(fd: number, { before, capability }: Pending, cut: boolean): number {
  let r = native.chmod(fd, "", before.mode & 0o7777);
  if (r === 0 && capability !== null) r = native.setxattr(fd, "", CAPABILITY, capability, 0);
  if (r < 0) return r;
  const mtimeNsec = cut ? UTIME_NOW : before.mtimeNsec;
  return native.utimens(fd, "", before.atime, before.atimeNsec, before.mtime, mtimeNsec);
}

/** Takes the marks of a metacopy away. On failure at least one is still there. */
function unmark(fd: number): number {
  const present: string[] = [];
  for (const attribute of metacopyNames) {
    const r = native.getxattr(fd, "", attribute, nothing);
    if (r >= 0) present.push(attribute);
    else if (!isNoAttribute(r)) return r;
  }
  for (const attribute of present) {
    const r = native.removexattr(fd, "", attribute);
    if (r < 0) return r;
  }
  return 0;
}

/**
 * Makes the file the sparse metacopy again that it was. Of a copy that was finished, users may have changed the mode since, and that
 * stays; the time of the data that is below goes with it.
 */
function undo(fd: number, pending: Pending): number {
  const { before } = pending;
  let r = native.truncate(fd, 0);
  if (r === 0) r = native.truncate(fd, before.size);
  if (r === 0 && pending.boot === "") r = putBack(fd, pending, false);
  else if (r === 0) r = native.utimens(fd, "", before.atime, before.atimeNsec, before.mtime, before.mtimeNsec);
  return r < 0 ? r : forgetPending(fd, "");
}

/** After a crash: puts the attributes of the metacopy (dirfd, name) back, as `overlay.cowfs.pending` says. 0 or -errno. */
export function recoverMetacopy(dirfd: number, name: string): number {
  const fd = native.open(dirfd, name, O_RDWR | O_NOATIME | O_NONBLOCK, 0);
  return fd < 0 ? fd : closed(fd, recover(fd));
}

/** The same for the open file `fd`, of which nothing need be pending. */
function recover(fd: number): number {
  const length = readPending(fd, "", value);
  if (length < 0) return isNoAttribute(length) ? 0 : length;
  const pending = decodePending(value.latin1Slice(0, length));
  return pending === null ? forgetPending(fd, "") : undo(fd, pending);
}

/** After a crash at the very end: the file (dirfd, name) has its data. 0 or -errno. */
export function forgetPending(dirfd: number, name: string): number {
  for (const attribute of pendingNames) {
    const r = native.removexattr(dirfd, name, attribute);
    if (r < 0 && !isNoAttribute(r)) return r;
  }
  return 0;
}
