/**
 * Copy-up: before the first change, an object of a lower layer is copied into the upper. It is built in the work directory,
 * synced, and published by one rename. The lower object is only ever read. Data is copied only when data is to change: until
 * then a regular file may be a metacopy (metacopy.ts).
 */
import { ENOENT, ESTALE } from "../errno.js";
import { S_IFLNK, S_IFREG, Stat } from "../layer/stat.js";
import { DT_DIR, DT_REG, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { completeData } from "./complete.js";
import { copyAttributes } from "./copy-attributes.js";
import { copyUpFile, keepPlain } from "./copy-file.js";
import { dataPlace } from "./data-source.js";
import { newPart, PURE, WH_NONE } from "./directory.js";
import { dropDescriptor, dropParts, hold } from "./held.js";
import { locate, statBacking } from "./locate.js";
import { copyUpMetadata, mayStayBelow } from "./metacopy.js";
import { ACCESS_PATH, DATA_OWN } from "./node-table.js";
import { isFileInUpper } from "./ownership.js";
import { PARK } from "./park.js";
import { bringNames, PUBLISHED, publish, publishLinked } from "./publish.js";
import type { Union } from "./union.js";

const source = new Stat();
const target = Buffer.alloc(4096);

/** Makes sure that a directory has an upper part, its parents first: 0 or -errno. */
export function copyUpDirectory(u: Union, node: number): number {
  const directory = u.table.directory(node);
  if (directory === undefined) return -ESTALE;
  if (directory.upper !== null) return 0;
  if (u.table.isNameless(node)) return -ENOENT;
  const above = copyUpDirectory(u, u.table.parent(node));
  if (above < 0) return above;
  let r = statBacking(u, node, source);
  if (r < 0) return r;
  const ctime = source.ctimeWords.slice();
  const temporary = u.work.temporary();
  r = native.mkdirAs(u.work.fd, temporary, 0o700, 0, 0);
  if (r < 0) return r;
  r = copyAttributes(u, u.atFd, u.atName, source, u.work.fd, temporary);
  if (r === 0) r = publish(u, node, temporary, source);
  if (r < 0) {
    u.work.discard(temporary);
    return r;
  }
  const upper = newPart(0, null);
  upper.marked = WH_NONE;
  upper.purity = PURE;
  directory.parts.unshift(upper);
  directory.ctime = ctime;
  u.table.setLayer(node, 0);
  // Even beyond the limit: a whiteout may want to go there.
  if (u.quota !== null) {
    u.quota.addDirectories(1);
    if (locate(u, node) === 0) u.quota.measure(u.atFd, u.atName);
  }
  return 0;
}

/**
 * Makes sure that an object lies in the upper, before its attributes or names change: 0, PARK (wait for `u.parkedOn`), or
 * -errno. The data of a regular file may stay below.
 */
export function copyUp(u: Union, node: number): number {
  const { table } = u;
  if (!table.isAlive(node)) return -ESTALE;
  const writable = u.checkWritable();
  if (writable < 0) return writable;
  if (table.type(node) === DT_DIR) {
    const r = table.isNameless(node) ? copyUpRemoved(u, node) : copyUpDirectory(u, node);
    const directory = table.directory(node);
    if (directory !== undefined) directory.ctime = null; // the caller is about to change it
    return r;
  }
  // Also the data of a metacopy: what copying it disturbs is put back at its end, and must not change meanwhile.
  if (isUnderWay(u, node)) return PARK;
  if (table.layer(node) === 0) return 0;
  const above = table.isNameless(node) ? 0 : copyUpDirectory(u, table.parent(node));
  if (above < 0) return above;
  if (table.type(node) !== DT_REG) return copyUpSpecial(u, node);
  if (mayStayBelow(u, node)) {
    const r = copyUpMetadata(u, node);
    if (r !== 0) return Math.min(r, 0);
  }
  return copyUpFile(u, node, Number.MAX_SAFE_INTEGER);
}

/**
 * Makes sure that a regular file lies in the upper with its data, at most `size` bytes of it (a truncation needs no more): 0,
 * PARK, or -errno. Costs nothing once that is so.
 */
export function copyUpData(u: Union, node: number, size = Number.MAX_SAFE_INTEGER): number {
  const { table } = u;
  if (!table.isAlive(node)) return -ESTALE;
  if (table.type(node) !== DT_REG) return copyUp(u, node);
  const writable = u.checkWritable();
  if (writable < 0) return writable;
  if (table.layer(node) === 0) {
    const place = dataPlace(u, node);
    if (place < 0 || place === DATA_OWN) return Math.min(place, 0);
    return isUnderWay(u, node) ? PARK : completeData(u, node, size);
  }
  if (isUnderWay(u, node)) return PARK;
  const above = table.isNameless(node) ? 0 : copyUpDirectory(u, table.parent(node));
  return above < 0 ? above : copyUpFile(u, node, size);
}

/** A directory that was removed gets a copy that was removed, too, for those who have it open: 0 or -errno. */
function copyUpRemoved(u: Union, node: number): number {
  const directory = u.table.directory(node);
  if (directory === undefined) return -ESTALE;
  if (directory.upper !== null) return 0;
  const temporary = u.work.temporary();
  let r = statBacking(u, node, source);
  if (r === 0) r = native.mkdirAs(u.work.fd, temporary, 0o700, 0, 0);
  if (r < 0) return r;
  r = copyAttributes(u, u.atFd, u.atName, source, u.work.fd, temporary);
  const fd = r < 0 ? r : native.open(u.work.fd, temporary, O_PATH, 0);
  u.work.discard(temporary);
  if (fd < 0) return fd;
  hold(u, node, fd, ACCESS_PATH);
  dropParts(u, directory);
  directory.parts.length = 0;
  directory.parts.push(newPart(0, null));
  u.table.setLayer(node, 0);
  return 0;
}

/** Whether a job is copying the node's data: `u.parkedOn` is then that job. */
function isUnderWay(u: Union, node: number): boolean {
  const running = u.copies.byNode.get(node);
  if (running === undefined) return false;
  u.parkedOn = running.job;
  return true;
}

/** Symbolic links, fifos, sockets, devices. */
function copyUpSpecial(u: Union, node: number): number {
  const temporary = u.work.temporary();
  let r = statBacking(u, node, source);
  if (r < 0) return r;
  if (source.type === S_IFLNK) {
    const length = native.readlink(u.atFd, u.atName, target);
    if (length < 0) return length;
    r = native.symlinkAs(target.latin1Slice(0, length), u.work.fd, temporary, 0, 0);
  } else {
    r = native.mknodAs(
      u.work.fd,
      temporary,
      (isFileInUpper(u, u.table.type(node)) ? S_IFREG : source.type) | 0o600,
      source.rdevMajor,
      source.rdevMinor,
      0,
      0,
    );
  }
  if (r < 0) return r;
  r = copyAttributes(u, u.atFd, u.atName, source, u.work.fd, temporary);
  if (r === 0 && isFileInUpper(u, u.table.type(node))) r = keepPlain(u, node, u.work.fd, temporary);
  if (r === 0 && source.nlink > 1 && !u.table.isNameless(node)) {
    r = publishLinked(u, node, temporary, source);
    if (r === PUBLISHED) {
      dropDescriptor(u, node);
      u.table.setLayer(node, 0);
      return bringNames(u, node);
    }
  }
  if (r === 0 && u.table.isNameless(node)) {
    const fd = native.open(u.work.fd, temporary, O_PATH, 0);
    if (fd >= 0) {
      u.table.setLayer(node, 0);
      hold(u, node, fd, ACCESS_PATH);
    }
    u.work.discard(temporary);
    return Math.min(fd, 0);
  }
  if (r === 0) r = publish(u, node, temporary, source);
  if (r < 0) {
    u.work.discard(temporary);
    return r;
  }
  dropDescriptor(u, node);
  u.table.setLayer(node, 0);
  if (u.quota !== null && locate(u, node) === 0) u.quota.measure(u.atFd, u.atName);
  return 0;
}
