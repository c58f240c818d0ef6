/** Renaming directories: what must be written before, and what changes in memory after. */
import { E2BIG, ENOSPC, ERANGE, EXDEV } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { hasOpaqueMarker, looksLikeMark, OPAQUE_MARKER } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_REG, DT_UNKNOWN, RENAME_EXCHANGE } from "../native/constants.js";
import { native } from "../native/index.js";
import { copyAttributes, restoreTimes } from "./copy-attributes.js";
import type { Directory } from "./directory.js";
import { dropParts } from "./held.js";
import { locate, partFd, partPath, pathBelow, upperFd } from "./locate.js";
import { judge, WHITEOUT } from "./merge.js";
import { prepareName } from "./metacopy.js";
import { ROOT } from "./node-table.js";
import { isFileInUpper } from "./ownership.js";
import type { Union } from "./union.js";

/** A longer redirect could be stored, but nothing could be opened by it. */
const PATH_MAX = 4096;

const before = new Stat();
const parentBefore = new Stat();
const entry = new Stat();

/**
 * Prepares a node (which lies in the upper) for its new name. A directory with lower parts says in `overlay.redirect` where
 * the layers below know it; one without, moving to where something shows below, becomes opaque. Both are true of the old
 * place too, so a crash before the rename changes nothing. A metacopy says
 * where its data is. 0, PARK (its data must be copied), or -errno (EXDEV: the redirect is too long to be stored).
 */
export function prepareMove(u: Union, node: number, showsBelowNew: boolean, newName: string): number {
  const directory = u.table.directory(node);
  const r = locate(u, node);
  if (r < 0) return r;
  if (looksLikeMark(newName, isFileInUpper(u, u.table.type(node)))) {
    const plain = u.work.setPlain(u.atFd, u.atName);
    if (plain < 0) return plain;
  }
  if (directory === undefined) return prepareName(u, node);
  if (!directory.hasLower) return showsBelowNew ? hideBelow(u, node, directory) : 0;
  const path = pathBelow(u, node);
  // One that the kernel wrote may name a sibling of the old place.
  const length = directory.redirect === null ? 0 : native.getxattr(u.atFd, u.atName, u.work.names.redirect, u.scratch);
  if (length > 0 && u.scratch.latin1Slice(0, length) === path) return 0;
  if (path.length > PATH_MAX) return -EXDEV;
  const set = native.setxattr(u.atFd, u.atName, u.work.names.redirect, Buffer.from(path, "latin1"), 0);
  if (set === -ERANGE || set === -E2BIG || (set === -ENOSPC && path.length > 1024)) return -EXDEV;
  return set;
}

/**
 * Makes a directory of the upper alone opaque, without a trace in its times. The mark takes the place of the one that says that some of
 * its files are whiteouts, and those go before they show: there is nothing that they hide. 0 or -errno.
 */
function hideBelow(u: Union, node: number, directory: Directory): number {
  const { upper } = directory;
  const whiteouts = upper?.xattrWhiteouts === true;
  // Making entries in it, or removing them, changes its times.
  const own = upper && (whiteouts || u.work.format === "aufs") ? partFd(u, node, upper) : null;
  if (own !== null && own < 0) return own;
  let r = own === null ? 0 : native.statx(own, "", STATX_ALL, before.bytes);
  if (r === 0 && own !== null && whiteouts) r = removeXattrWhiteouts(own);
  if (r === 0) r = locate(u, node);
  if (r === 0) r = u.work.setOpaque(u.atFd, u.atName);
  if (r < 0) return r;
  if (upper) upper.xattrWhiteouts = false;
  if (own !== null) restoreTimes(u, node, own, before);
  return 0;
}

/**
 * Gives the name of the marker file of an opaque directory, if that is what `name` of the upper directory `fd` is, to a user's object: the
 * attribute says the same. A layer's root knows the marker only, which stays. 0 or -errno.
 */
export function freeMarkerName(u: Union, parent: number, directory: Directory, fd: number, name: string): number {
  if (name !== OPAQUE_MARKER || parent === ROOT) return 0;
  const marker = hasOpaqueMarker(fd, "");
  if (marker <= 0) return marker;
  const r = hideBelow(u, parent, directory);
  return r < 0 ? r : native.unlink(fd, name, 0);
}

function removeXattrWhiteouts(fd: number): number {
  const names: string[] = [];
  let r = Math.min(
    0,
    readListing(fd, { entry: (name, type) => void ((type === DT_REG || type === DT_UNKNOWN) && names.push(name)) }),
  );
  for (const name of names) {
    if (r === 0) r = native.statx(fd, name, STATX_ALL, entry.bytes);
    const kind = r < 0 ? r : judge(fd, name, entry, true);
    r = kind === WHITEOUT ? native.unlink(fd, name, 0) : Math.min(0, kind);
    if (r < 0) break;
  }
  return r;
}

/** After the rename on disk and before the one in the node table: lower parts stay where they are. */
export function movedDirectory(u: Union, node: number): void {
  const directory = u.table.directory(node);
  if (directory === undefined || !directory.hasLower) return;
  directory.redirect = pathBelow(u, node);
  for (const part of directory.parts) {
    if (part.layer !== 0) part.path = partPath(u, node, part);
  }
}

/**
 * Replaces the upper part of a directory that shows no entries, but holds whiteouts, by an empty opaque one of the same
 * owner, mode and times, so that a rename may replace it. Users see no difference. 0 or -errno.
 */
export function clearDirectory(u: Union, parent: number, node: number): number {
  const directory = u.table.directory(node);
  const upper = directory?.upper;
  if (directory === undefined || !upper) return 0;
  const fd = partFd(u, node, upper);
  if (fd < 0) return fd;
  const parentFd = upperFd(u, parent);
  if (parentFd < 0) return parentFd;
  let r = native.statx(fd, "", STATX_ALL, before.bytes);
  if (r === 0) r = native.statx(parentFd, "", STATX_ALL, parentBefore.bytes);
  if (r < 0) return r;
  const temporary = u.work.temporary();
  r = native.mkdirAs(u.work.fd, temporary, 0o700, 0, 0);
  if (r < 0) return r;
  r = u.work.setOpaqueQuietly(u.work.fd, temporary);
  if (r === 0) r = copyAttributes(u, fd, "", before, u.work.fd, temporary);
  if (r === 0) r = native.rename(u.work.fd, temporary, parentFd, u.table.name(node), RENAME_EXCHANGE);
  u.work.discard(temporary);
  if (r < 0) return r;
  restoreTimes(u, parent, parentFd, parentBefore);
  u.quota?.gone(fd, true);
  dropParts(u, directory);
  directory.parts.length = 0;
  upper.fd = -1;
  upper.xattrWhiteouts = false;
  directory.parts.push(upper);
  return 0;
}
