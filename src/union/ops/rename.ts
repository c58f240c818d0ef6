import { EEXIST, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV, ignore } from "../../errno.js";
import { S_IFCHR, STATX_ALL } from "../../layer/stat.js";
import { DT_DIR, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyUp, copyUpDirectory } from "../copy-up.js";
import { removeMark } from "../create-at.js";
import type { Directory } from "../directory.js";
import { unpin } from "../held.js";
import { setImpureFor } from "../impure.js";
import { bringName, isInUpper, keepCount, nameGone } from "../links.js";
import { isEmpty } from "../listing.js";
import { parentOf, upperFd } from "../locate.js";
import { judge, NAME_MAX, showsBelow, WHITEOUT } from "../merge.js";
import { clearDirectory, freeMarkerName, movedDirectory, prepareMove } from "../move.js";
import { mayAdd, mayRemove } from "../protection.js";
import { forgetName, isBelow, nodeAt, prepareLoss } from "../remove.js";
import { release } from "../rows.js";
import type { Union } from "../union.js";
import { hideAbsent, hideFile, markBeside, NEEDS_WHITEOUT, replaceXattrWhiteout } from "../whiteout.js";

/** One end of a rename. */
interface End {
  readonly parent: number;
  readonly name: string;
  readonly directory: Directory;
  /** The object there, 0 for none. */
  readonly node: number;
}

/**
 * Renames as renameat2(2) does, RENAME_NOREPLACE, RENAME_EXCHANGE and RENAME_WHITEOUT included. A lower object is copied
 * up first; of a directory only itself, its content below is reached through a redirect. 0, PARK, or -errno.
 */
export function rename(
  u: Union,
  oldParent: number,
  oldName: string,
  newParent: number,
  newName: string,
  flags: number,
): number {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !== 0) return -EINVAL;
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  if (exchange && flags !== RENAME_EXCHANGE) return -EINVAL;
  const from = endOf(u, oldParent, oldName);
  if (typeof from === "number") return from;
  const to = endOf(u, newParent, newName);
  if (typeof to === "number") return to;
  let r = u.checkWritable();
  if (r === 0) r = check(u, from, to, flags);
  // The device that is left must say that it is no mark, which no `user.` attribute can.
  if (r === 0 && (flags & RENAME_WHITEOUT) !== 0 && (!u.work.devices || u.work.names.isUser)) r = -EINVAL;
  if (r < 0) return r;
  if (from.node === to.node) return 0;
  if (r === 0) r = mayRename(u, from, to);
  if (r < 0) return r;
  r = copyUp(u, from.node);
  if (r === 0 && to.node !== 0) r = exchange ? copyUp(u, to.node) : keepCount(u, to.node);
  if (r === 0) r = copyUpDirectory(u, oldParent);
  if (r === 0) r = copyUpDirectory(u, newParent);
  if (r === 0 && oldParent !== newParent) {
    r = setImpureFor(u, from.node, newParent);
    if (r === 0 && exchange) r = setImpureFor(u, to.node, oldParent);
  }
  if (r === 0) r = bringName(u, from.node, oldParent, oldName);
  if (r === 0 && exchange) r = bringName(u, to.node, newParent, newName);
  if (r < 0) return r;
  return exchange ? swap(u, from, to) : move(u, from, to, (flags & RENAME_WHITEOUT) !== 0);
}

function endOf(u: Union, parent: number, name: string): End | number {
  const directory = parentOf(u, parent);
  if (typeof directory === "number") return directory;
  if (name.length > NAME_MAX) return -ENAMETOOLONG;
  const node = nodeAt(u, parent, directory, name);
  if (node < 0 && node !== -ENOENT) return node;
  return { parent, name, directory, node: Math.max(node, 0) };
}

function mayRename(u: Union, from: End, to: End): number {
  const leave = mayRemove(u, from.parent, from.node);
  if (leave < 0) return leave;
  return to.node === 0 ? mayAdd(u, to.parent) : mayRemove(u, to.parent, to.node);
}

/** What the kernel checks too, for callers that are not the kernel. */
function check(u: Union, from: End, to: End, flags: number): number {
  if (from.node === 0) return -ENOENT;
  if (to.node === 0 && (flags & RENAME_EXCHANGE) !== 0) return -ENOENT;
  if (to.node !== 0 && (flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
  const source = u.table.directory(from.node);
  const target = to.node === 0 ? undefined : u.table.directory(to.node);
  if (source !== undefined && isBelow(u, to.parent, from.node)) return -EINVAL;
  const moves = [source, (flags & RENAME_EXCHANGE) !== 0 ? target : undefined];
  if (!u.writesRedirects && moves.some((one) => one?.hasLower === true)) return -EXDEV;
  if ((flags & RENAME_EXCHANGE) !== 0) {
    return target !== undefined && isBelow(u, from.parent, to.node) ? -EINVAL : 0;
  }
  if (to.node === 0 || to.node === from.node) return 0;
  if (source !== undefined && target === undefined) return -ENOTDIR;
  if (source === undefined && target !== undefined) return -EISDIR;
  if (target === undefined) return 0;
  const empty = isEmpty(u, to.node, target);
  return empty < 0 ? empty : empty === 1 ? 0 : -ENOTEMPTY;
}

function swap(u: Union, from: End, to: End): number {
  const fromShows = showsBelow(u, from.parent, from.directory, from.name);
  const toShows = showsBelow(u, to.parent, to.directory, to.name);
  let r = Math.min(fromShows, toShows, 0);
  if (r === 0) r = prepareMove(u, from.node, toShows === 1, to.name);
  if (r === 0) r = prepareMove(u, to.node, fromShows === 1, from.name);
  if (r < 0) return r;
  const fromFd = upperFd(u, from.parent);
  const toFd = upperFd(u, to.parent);
  if (fromFd < 0 || toFd < 0) return Math.min(fromFd, toFd);
  r = native.rename(fromFd, from.name, toFd, to.name, RENAME_EXCHANGE);
  if (r < 0) return r;
  movedDirectory(u, from.node);
  movedDirectory(u, to.node);
  // Each name is free for a moment, so that neither becomes an alias of the other's node.
  u.table.removeName(from.node, from.parent, from.name);
  u.table.removeName(to.node, to.parent, to.name);
  u.table.addName(from.node, to.parent, to.name);
  u.table.addName(to.node, from.parent, from.name);
  const difference = isDirectory(u, to.node) - isDirectory(u, from.node);
  from.directory.changed(difference);
  to.directory.changed(-difference);
  return 0;
}

function isDirectory(u: Union, node: number): number {
  return u.table.type(node) === DT_DIR ? 1 : 0;
}

function move(u: Union, from: End, to: End, leaveDevice: boolean): number {
  const fromShows = showsBelow(u, from.parent, from.directory, from.name);
  const toShows = showsBelow(u, to.parent, to.directory, to.name);
  let r = Math.min(fromShows, toShows, 0);
  if (r === 0) r = prepareMove(u, from.node, toShows === 1, to.name);
  const replacesUpper = to.node === 0 ? 0 : isInUpper(u, to.node, to.parent, to.name);
  if (r === 0) r = Math.min(replacesUpper, 0);
  if (r === 0 && to.node !== 0) r = prepareTarget(u, to);
  if (r < 0) return r;
  const fromFd = upperFd(u, from.parent);
  const toFd = upperFd(u, to.parent);
  r = Math.min(fromFd, toFd, 0);
  if (r === 0 && to.node === 0) r = freeMarkerName(u, to.parent, to.directory, toFd, to.name);
  if (r === 0) r = moveInUpper(u, from, to, fromFd, toFd, fromShows === 1);
  if (r < 0) {
    if (to.node !== 0) unpin(u, to.node);
    return r;
  }
  // From here on the new name is on disk: whatever fails is reported, but the node table must follow.
  u.committed = true;
  let late = 0;
  if (r === HIDE_LATER) late = hideAbsent(u, from.directory, fromFd, from.name);
  else if (r === DEVICE_LEFT && !leaveDevice) late = hideFile(u, from.directory, fromFd, from.name);
  const device = leaveDevice ? putWhiteoutDevice(u, fromFd, from.name) : 0;
  removeMark(u, to.parent, to.directory.upper, to.name);
  movedDirectory(u, from.node);
  const moving = isDirectory(u, from.node);
  const replaced = to.node === 0 ? 0 : isDirectory(u, to.node);
  let counted = 0;
  if (to.node !== 0) {
    if (u.table.directory(to.node)?.upper) u.quota?.addDirectories(-1);
    counted = nameGone(u, to.node, replacesUpper === 1);
    forgetName(u, to.node, to.parent, to.name);
  }
  u.table.removeName(from.node, from.parent, from.name);
  u.table.addName(from.node, to.parent, to.name);
  from.directory.changed(-moving);
  to.directory.changed(moving - replaced);
  release(u, from.node);
  release(u, from.parent);
  return Math.min(late, device, counted);
}

/** Makes the object that will be replaced ready to lose its name; a directory must be empty on disk too. */
function prepareTarget(u: Union, to: End): number {
  const target = u.table.directory(to.node);
  if (target?.upper) {
    const r = clearDirectory(u, to.parent, to.node);
    if (r < 0) return r;
  }
  return prepareLoss(u, to.node);
}

/** The move is made, the whiteout at the old name is not: the file system cannot do both at once. */
const HIDE_LATER = 1;
/** The move is made, and a device hides the old name, in the place of a whiteout of another format. */
const DEVICE_LEFT = 2;

/**
 * The rename in the upper layer, with the whiteout at the old name if something shows below it: 0, HIDE_LATER, DEVICE_LEFT, or
 * -errno with nothing changed that users see.
 */
function moveInUpper(u: Union, from: End, to: End, fromFd: number, toFd: number, hide: boolean): number {
  const isDir = u.table.type(from.node) === DT_DIR;
  const overWhiteout = to.node === 0 && native.statx(toFd, to.name, STATX_ALL, u.aside.bytes) === 0;
  let overDevice = false;
  if (overWhiteout && judge(toFd, to.name, u.aside, to.directory.upper?.xattrWhiteouts === true) !== WHITEOUT) {
    return -EEXIST;
  }
  if (overWhiteout && isDir) {
    const r = u.aside.isWhiteoutDevice ? 0 : replaceXattrWhiteout(u, to.directory, toFd, to.name);
    if (r < 0) return r;
    overDevice = r === 0;
  }
  if (overDevice) {
    // A directory cannot replace a whiteout: they change places, and the whiteout stays where it is needed.
    const r = native.rename(fromFd, from.name, toFd, to.name, RENAME_EXCHANGE);
    if (r < 0) return r;
    if (hide) return u.work.format === "overlay" ? 0 : DEVICE_LEFT;
    ignore(native.unlink(fromFd, from.name, 0), "a whiteout that is left hides nothing");
    return 0;
  }
  if (!hide) return native.rename(fromFd, from.name, toFd, to.name, 0);
  const marked = markBeside(u, from.directory, fromFd, from.name);
  if (marked !== NEEDS_WHITEOUT) return marked < 0 ? marked : native.rename(fromFd, from.name, toFd, to.name, 0);
  const whiteout = native.rename(fromFd, from.name, toFd, to.name, RENAME_WHITEOUT);
  if (whiteout === 0 && u.work.format === "xattr") return DEVICE_LEFT;
  if (whiteout !== -EINVAL && (whiteout !== -EPERM || u.work.devices)) return whiteout;
  const r = native.rename(fromFd, from.name, toFd, to.name, 0);
  return r < 0 ? r : HIDE_LATER;
}

/** RENAME_WHITEOUT of a user: a character device 0:0 that shows, as on any other file system (marked as plain). */
function putWhiteoutDevice(u: Union, fd: number, name: string): number {
  const temporary = u.work.temporary();
  let r = native.mknodAs(u.work.fd, temporary, S_IFCHR, 0, 0, 0, 0);
  if (r === 0) r = u.work.setPlain(u.work.fd, temporary);
  if (r === 0) r = native.rename(u.work.fd, temporary, fd, name, 0);
  if (r < 0) u.work.discard(temporary);
  return r;
}
