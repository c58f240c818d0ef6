/**
 * Hiding a lower name: a character device 0:0, a `.wh.` file where that is asked for or devices are refused, or an empty file with an
 * attribute. Each function leaves the old state or the new one behind, whatever happens in between.
 */
import { EEXIST, ENAMETOOLONG, ENOTEMPTY, EPERM } from "../errno.js";
import { WHITEOUT_PREFIX } from "../layer/marks.js";
import { S_IFREG } from "../layer/stat.js";
import { AT_REMOVEDIR, RENAME_EXCHANGE } from "../native/constants.js";
import { native } from "../native/index.js";
import { type Directory, WH_SOME } from "./directory.js";
import { hasMarkFor } from "./merge.js";
import type { Union } from "./union.js";

/** No `.wh.` file can say it, or none is wanted: a whiteout must take the place of the name. */
export const NEEDS_WHITEOUT = 1;

/**
 * Hides `name` by a `.wh.` file beside it, if that is the format: the real entry beats the mark, so the mark may come before the
 * entry goes. 0, NEEDS_WHITEOUT (the directory is ready for one), or -errno (ENAMETOOLONG, EPERM: nothing can hide this name here).
 */
export function markBeside(u: Union, directory: Directory, fd: number, name: string): number {
  if (u.work.format === "xattr") return allowXattrWhiteouts(u, directory, fd);
  if (u.work.format === "overlay") return NEEDS_WHITEOUT;
  const r = writeMark(directory, fd, name);
  return u.work.devices && (r === -ENAMETOOLONG || r === -EPERM) ? NEEDS_WHITEOUT : r;
}

/**
 * Whiteouts by attribute count only in a directory that says so. It has lower parts, for something is to be hidden, so it is not
 * opaque, which the same attribute would say. NEEDS_WHITEOUT or -errno. One system call for each directory.
 */
function allowXattrWhiteouts(u: Union, { upper }: Directory, fd: number): number {
  if (upper === null || upper.xattrWhiteouts) return NEEDS_WHITEOUT;
  const r = u.work.setXattrWhiteouts(fd);
  if (r < 0) return r;
  upper.xattrWhiteouts = true;
  return NEEDS_WHITEOUT;
}

export const NAME_FREED = 1;

/**
 * Prepares `name` of the upper directory `fd`, where a whiteout by attribute is, for a directory that moves there. The two cannot
 * change places: where the directory comes from, the file might show. 0: a device is there instead; NAME_FREED: a `.wh.` file is beside
 * it, and nothing is there; or -errno.
 */
export function replaceXattrWhiteout(u: Union, directory: Directory, fd: number, name: string): number {
  if (u.work.devices) return u.work.putDevice(fd, name);
  let r = writeMark(directory, fd, name);
  if (r === 0) r = native.unlink(fd, name, 0);
  return r < 0 ? r : NAME_FREED;
}

/** Hides `name`, which the upper directory `fd` does not have: 0 or -errno. */
export function hideAbsent(u: Union, directory: Directory, fd: number, name: string): number {
  const r = markBeside(u, directory, fd, name);
  return r === NEEDS_WHITEOUT ? u.work.whiteoutAt(fd, name) : r;
}

/** Replaces the non-directory `name` of the upper directory `fd` by a whiteout: 0 or -errno. */
export function hideFile(u: Union, directory: Directory, fd: number, name: string): number {
  const marked = markBeside(u, directory, fd, name);
  if (marked !== NEEDS_WHITEOUT) return marked < 0 ? marked : native.unlink(fd, name, 0);
  const temporary = u.work.temporary();
  let r = u.work.whiteout(temporary);
  if (r < 0) return r;
  r = native.rename(u.work.fd, temporary, fd, name, 0);
  if (r < 0) u.work.discard(temporary);
  return r;
}

/** Replaces the directory `name` (which shows no entries, but may hold marks) by a whiteout: 0 or -errno. */
export function hideDirectory(u: Union, directory: Directory, fd: number, name: string): number {
  const marked = markBeside(u, directory, fd, name);
  if (marked !== NEEDS_WHITEOUT) return marked < 0 ? marked : removeDirectory(u, fd, name);
  const temporary = u.work.temporary();
  let r = u.work.whiteout(temporary);
  if (r < 0) return r;
  r = native.rename(u.work.fd, temporary, fd, name, RENAME_EXCHANGE);
  u.work.discard(temporary);
  return r;
}

/** Removes the directory `name`, which shows no entries but may hold marks, from the upper directory `fd`: 0 or -errno. */
export function removeDirectory(u: Union, fd: number, name: string): number {
  const r = native.unlink(fd, name, AT_REMOVEDIR);
  // POSIX allows EEXIST for ENOTEMPTY.
  if (r !== -ENOTEMPTY && r !== -EEXIST) return r;
  const temporary = u.work.temporary();
  const moved = native.rename(fd, name, u.work.fd, temporary, 0);
  if (moved === 0) u.work.discard(temporary);
  return moved;
}

/** -EPERM where no mark can say it: `.wh..wh.` means something else, or a user's own file has the mark's name. */
function writeMark(directory: Directory, fd: number, name: string): number {
  if (name.startsWith(WHITEOUT_PREFIX)) return -EPERM;
  const r = native.mknodAs(fd, WHITEOUT_PREFIX + name, S_IFREG | 0o444, 0, 0, 0, 0);
  if (directory.upper !== null) directory.upper.marked = WH_SOME;
  if (r !== -EEXIST) return r;
  const marked = hasMarkFor(fd, name);
  return marked < 0 ? marked : marked === 1 ? 0 : -EPERM;
}
