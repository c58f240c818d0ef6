/** Names of files that have several: which of them lie in the upper, and how many users see. */
import { isAbsent } from "../errno.js";
import { looksLikeMark } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { native } from "../native/index.js";
import { restoreTimes } from "./copy-attributes.js";
import { copyUp } from "./copy-up.js";
import { setImpure } from "./impure.js";
import { upperFd } from "./locate.js";
import { isFileInUpper } from "./ownership.js";
import type { Union } from "./union.js";

const stat = new Stat();
const times = new Stat();

/**
 * Whether the upper itself has the name that leads to `node`: 1, 0 or -errno. A lower name of a file that was copied up
 * under another one does not: it shows the index's entry.
 */
export function isInUpper(u: Union, node: number, parent: number, name: string): number {
  if (u.table.layer(node) !== 0) return 0;
  if (u.index?.of(node) === undefined) return 1;
  const fd = upperFd(u, parent);
  if (fd < 0) return 0;
  const r = native.statx(fd, name, STATX_ALL, stat.bytes);
  return r === 0 ? 1 : isAbsent(r) ? 0 : r;
}

/** Makes sure that the upper has the name of a node that lies in the upper: 0 or -errno. */
export function bringName(u: Union, node: number, parent: number, name: string): number {
  const entry = u.index?.of(node);
  if (entry === undefined) return 0;
  const there = isInUpper(u, node, parent, name);
  if (there !== 0) return Math.min(there, 0);
  const fd = upperFd(u, parent);
  if (fd < 0) return fd;
  let r = setImpure(u, parent);
  if (r === 0) r = native.statx(fd, "", STATX_ALL, times.bytes);
  if (r < 0) return r;
  if (looksLikeMark(name, isFileInUpper(u, u.table.type(node))))
    r = u.work.setPlain(u.index?.directory ?? -1, entry.name);
  if (r === 0) r = u.index?.linkUp(entry, fd, name) ?? 0;
  if (r === 0) restoreTimes(u, parent, fd, times);
  return r;
}

/**
 * Before one of several names of a lower file goes: the file is copied up, since only the index can say how many links are
 * left. 0, PARK, or -errno.
 */
export function keepCount(u: Union, node: number): number {
  return u.table.layer(node) !== 0 && u.index !== null && u.identities.isLinked(node) ? copyUp(u, node) : 0;
}

/**
 * A name of `node` is gone. `wasInUpper`: the upper's file system has counted it already; otherwise users see one link
 * less than it says. 0 or -errno, the name being gone all the same.
 */
export function nameGone(u: Union, node: number, wasInUpper: boolean): number {
  const entry = u.index?.of(node);
  if (entry === undefined) return 0;
  const counted = wasInUpper ? 0 : (u.index?.writeDifference(entry, entry.difference - 1) ?? 0);
  const r = native.statx(u.index?.directory ?? -1, entry.name, STATX_ALL, stat.bytes);
  if (r === 0 && stat.nlink + entry.difference <= 0) {
    u.inodes.drop(stat);
    u.index?.remove(node);
  }
  return counted;
}
