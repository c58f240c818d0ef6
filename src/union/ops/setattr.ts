import { EINVAL, EISDIR } from "../../errno.js";
import { STATX_ALL } from "../../layer/stat.js";
import { DT_DIR, DT_REG, UTIME_NOW, UTIME_OMIT } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { keepPlain } from "../copy-file.js";
import { copyUp, copyUpData } from "../copy-up.js";
import { locate } from "../locate.js";
import { IMMUTABLE } from "../node-table.js";
import { changeMode, changeOwner } from "../ownership.js";
import { present, statNode } from "../present.js";
import { mayChange } from "../protection.js";
import { type Changer, changeOwnerFor, dropSetIdBits, modeAfterChange, somebody } from "../set-id.js";
import { noteCut } from "../settle.js";
import type { Union } from "../union.js";
import { writeFd } from "./data.js";
import { succeedIfOld } from "./open.js";

/** What to change: `valid` says which, as the FATTR_* bits of the FUSE protocol. */
export interface SetAttr {
  valid: number;
  /** Who asks, as a user ID; only looked at if `namesNothing`. */
  caller: number;
  changer: Changer;
  size: number;
  mode: number;
  uid: number;
  gid: number;
  /** Seconds and nanoseconds since the epoch. */
  atime: number;
  atimeNsec: number;
  mtime: number;
  mtimeNsec: number;
}

/** A change of nothing, to be filled in. */
export function noChange(): SetAttr {
  return {
    valid: 0,
    caller: 0,
    changer: somebody,
    size: 0,
    mode: 0,
    uid: 0,
    gid: 0,
    atime: 0,
    atimeNsec: 0,
    mtime: 0,
    mtimeNsec: 0,
  };
}

const FATTR_MODE = 1 << 0;
const FATTR_UID = 1 << 1;
const FATTR_GID = 1 << 2;
const FATTR_SIZE = 1 << 3;
const FATTR_ATIME = 1 << 4;
const FATTR_MTIME = 1 << 5;
const FATTR_ATIME_NOW = 1 << 7;
const FATTR_MTIME_NOW = 1 << 8;
const BOTH_NOW = FATTR_ATIME_NOW | FATTR_MTIME_NOW;
const FATTR_KILL_SUIDGID = 1 << 11;
const CHANGES = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME;

/** Whether a request says no attribute to be changed. */
export function namesNothing(valid: number): boolean {
  return (valid & CHANGES) === 0;
}

/**
 * Changes attributes of a node, copied up first; `u.stat` holds the result. The kernel has checked the caller's
 * right to. 0, PARK, or -errno. Size first (it drops privileges), then the owner (so does chown), then mode and times.
 */
export function setattr(u: Union, node: number, request: SetAttr): number {
  const { changer, valid } = request;
  if (namesNothing(valid)) return takePrivileges(u, node, request.caller, changer);
  let r = maySet(u, node, valid);
  if (r < 0) return r;
  r = (valid & FATTR_SIZE) !== 0 ? copyUpData(u, node, request.size) : copyUp(u, node);
  if (r < 0) return r;
  if ((valid & FATTR_SIZE) !== 0) {
    if (succeedIfOld(u, node)) return setattr(u, u.openFiles.successor(node), request);
    r = truncate(u, node, request.size, (valid & FATTR_KILL_SUIDGID) === 0 ? null : changer);
    if (r < 0) return r;
  }
  r = locate(u, node);
  if (r < 0) return r;
  const { atFd, atName } = u;
  if ((valid & (FATTR_UID | FATTR_GID)) !== 0) {
    const { ownership } = u;
    const uid = (valid & FATTR_UID) === 0 ? -1 : (ownership?.uidOnDisk(request.uid) ?? request.uid);
    const gid = (valid & FATTR_GID) === 0 ? -1 : (ownership?.gidOnDisk(request.gid) ?? request.gid);
    if (uid < -1) return uid;
    if (gid < -1) return gid;
    const isDirectory = u.table.type(node) === DT_DIR;
    r = isDirectory ? changeOwner(u, atFd, atName, uid, gid) : changeOwnerFor(u, atFd, atName, uid, gid, changer);
    if (r < 0) return r;
  }
  if ((valid & FATTR_MODE) !== 0) {
    r = changeMode(u, atFd, atName, request.mode & 0o7777);
    if (r < 0) return r;
  }
  if ((valid & (FATTR_ATIME | FATTR_MTIME)) !== 0) {
    const { atime, mtime } = request;
    const atimeNsec = timeOf(valid, FATTR_ATIME, FATTR_ATIME_NOW, request.atimeNsec);
    const mtimeNsec = timeOf(valid, FATTR_MTIME, FATTR_MTIME_NOW, request.mtimeNsec);
    r = native.utimens(atFd, atName, atime, atimeNsec, mtime, mtimeNsec);
    if (r < 0) return r;
  }
  r = native.statx(atFd, atName, STATX_ALL, u.stat.bytes);
  return r < 0 ? r : present(u, node);
}

/** Whether the attributes `valid` may change: 0 or -EPERM. The times of an append-only file may become those of now, by touch(1). */
function maySet(u: Union, node: number, valid: number): number {
  const isTouch = (valid & CHANGES) === (FATTR_ATIME | FATTR_MTIME) && (valid & BOTH_NOW) === BOTH_NOW;
  return isTouch && (u.table.protection(node) & IMMUTABLE) === 0 ? 0 : mayChange(u, node);
}

/**
 * A SETATTR of nothing: before a write by somebody without CAP_FSETID, and at a chown that keeps both owners. Having agreed to
 * HANDLE_KILLPRIV_V2, the kernel leaves it to us to take set-id bits away, and checks nothing where nothing is named. A chown is for
 * the owner and root. Of anybody else it is taken for a write, which may come through a descriptor that is older than the
 * mode: a WRITE takes the bits away by itself, and where there is none (passthrough) somebody has the file open for writing.
 */
function takePrivileges(u: Union, node: number, caller: number, changer: Changer): number {
  let r = statNode(u, node);
  if (r < 0 || u.table.type(node) === DT_DIR || modeAfterChange(u.stat, changer) === u.stat.mode) return r;
  if (caller !== 0 && caller !== u.stat.uid && !u.openFiles.isWritten(node)) return r;
  r = mayChange(u, node);
  if (r === 0) r = copyUpData(u, node);
  if (r === 0) r = locate(u, node);
  if (r === 0) r = dropSetIdBits(u, u.atFd, u.atName, changer);
  return r < 0 ? r : statNode(u, node);
}

function timeOf(valid: number, set: number, now: number, nsec: number): number {
  if ((valid & set) === 0) return UTIME_OMIT;
  return (valid & now) !== 0 ? UTIME_NOW : nsec;
}

/**
 * Sets the size of a regular file. `changer`: somebody who takes set-id bits away, or null. 0, PARK, or -errno.
 */
export function truncate(u: Union, node: number, size: number, changer: Changer | null): number {
  const type = u.table.type(node);
  if (type !== DT_REG) return type === DT_DIR ? -EISDIR : -EINVAL;
  const fd = writeFd(u, node);
  if (fd < 0) return fd;
  const plain = size === 0 ? keepPlain(u, node, fd) : 0;
  if (plain < 0) return plain;
  const r = native.truncate(fd, size);
  u.quota?.measure(fd);
  if (r === 0) noteCut(u, node, size);
  return r < 0 || changer === null ? r : dropSetIdBits(u, fd, "", changer);
}
