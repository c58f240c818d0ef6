/**
 * Set-user-ID and set-group-ID: what of them goes when a file is changed (Linux: setattr_should_drop_suidgid, chown_common). Both
 * go, but for a set-group-ID bit that lets nobody run anything, since the group may not execute: that one is a mark of the
 * group's, which its members and the privileged leave.
 */
import { S_ISGID, S_ISUID, S_IXGRP, STATX_ALL, type Stat } from "../layer/stat.js";
import { native } from "../native/index.js";
import { applyStored, changeMode, changeOwner } from "./ownership.js";
import { withoutSetId } from "./stored-owner.js";
import type { Union } from "./union.js";

/** Who changes a file: FUSE tells whether privileges must go, but not the groups, on which a lone set-group-ID bit depends. */
export interface Changer {
  /** Whether such a bit stays on a file that is shown with these owners. Looks into /proc: asked only where there is one. */
  keepsGroupBit(uid: number, gid: number): boolean;
}

/** Where nobody tells who changes a file, and so not his groups. */
export const somebody: Changer = { keepsGroupBit: () => true };

function hasLoneGroupBit(mode: number): boolean {
  return (mode & (S_ISGID | S_IXGRP)) === S_ISGID;
}

/** What remains of the mode in `stat`, whose ids are those that users see. */
export function modeAfterChange(stat: Stat, changer: Changer): number {
  const mode = withoutSetId(stat.mode);
  return hasLoneGroupBit(mode) && !changer.keepsGroupBit(stat.uid, stat.gid) ? mode & ~S_ISGID : mode;
}

/** Owner and mode of an object in the upper as users see them, into `u.aside`: 0 or -errno. */
function readAside(u: Union, fd: number, name: string): number {
  const { aside, ownership } = u;
  let r = native.statx(fd, name, STATX_ALL, aside.bytes);
  if (r === 0) r = applyStored(u, fd, name, aside);
  if (r < 0) return r;
  if (ownership !== null) {
    aside.uid = ownership.shownUid(aside.uid);
    aside.gid = ownership.shownGid(aside.gid);
  }
  return 0;
}

/** Whether the file `fd` has bits that `dropSetIdBits` may clear: 1, 0 or -errno. */
export function hasSetIdBits(u: Union, fd: number): number {
  const r = readAside(u, fd, "");
  return r < 0 ? r : (u.aside.mode & (S_ISUID | S_ISGID)) === 0 ? 0 : 1;
}

/** Clears set-id bits of (fd, name) as the kernel does before data are changed by somebody without CAP_FSETID: 0 or -errno. */
export function dropSetIdBits(u: Union, fd: number, name: string, changer: Changer): number {
  const r = readAside(u, fd, name);
  if (r < 0) return r;
  const mode = modeAfterChange(u.aside, changer);
  return mode === u.aside.mode ? 0 : changeMode(u, fd, name, mode & 0o7777);
}

/**
 * chown(2) by `changer` of what is no directory, by ids of the disk; -1 keeps one: 0 or -errno. The system call drops what goes
 * anyway; the driver, being privileged, would leave a lone set-group-ID bit to everybody. Costs a statx(2) more.
 */
export function changeOwnerFor(u: Union, fd: number, name: string, uid: number, gid: number, changer: Changer): number {
  let r = readAside(u, fd, name);
  if (r < 0) return r;
  const losesBit = hasLoneGroupBit(u.aside.mode) && !changer.keepsGroupBit(u.aside.uid, u.aside.gid);
  const mode = withoutSetId(u.aside.mode) & ~S_ISGID & 0o7777;
  r = changeOwner(u, fd, name, uid, gid);
  return r < 0 || !losesBit ? r : changeMode(u, fd, name, mode);
}
