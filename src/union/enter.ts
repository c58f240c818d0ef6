/** From what a search found to its node: a known one, or a new row of the table. */
import { EBADMSG, EIO, ENOENT } from "../errno.js";
import { HAS_METACOPY, HAS_ORIGIN, HAS_PENDING, readObjectMarks } from "../layer/marks.js";
import { S_IFMT, STATX_ALL, type Stat } from "../layer/stat.js";
import { DT_DIR, DT_REG } from "../native/constants.js";
import { native } from "../native/index.js";
import { adopt } from "./adopt.js";
import { forgetPending, recoverMetacopy } from "./complete.js";
import { Directory } from "./directory.js";
import type { Entry } from "./hardlink-index.js";
import { isImpure } from "./impure.js";
import { keepNames } from "./listing.js";
import { holdPart, partFd, statBacking, upperFd } from "./locate.js";
import { DATA_BELOW, DATA_OWN } from "./node-table.js";
import { findProtattr, noteAttributes, noteProtattr } from "./protection.js";
import { regainName, release } from "./rows.js";
import { hasData, voidBefore } from "./settle.js";
import type { Union } from "./union.js";

/**
 * The node for what `found` (a successful search for `name`) describes, `stat` holding its backing's attributes: the
 * known one if it is another link of a known file, otherwise a new row. No lookup is counted. Or -errno.
 */
export function enter(u: Union, parent: number, name: string): number {
  const { table, found, stat } = u;
  const type = (stat.mode & S_IFMT) >> 12;
  if (type !== DT_DIR) {
    if (stat.nlink > 1 || u.identities.isNameless(stat)) return enterLinked(u, parent, name, type);
    return found.layer === 0 ? enterUpper(u, parent, name, type, null) : addRow(u, parent, name, type, found.layer);
  }
  const node = addRow(u, parent, name, type, found.layer);
  // As in overlayfs: a merged directory goes on showing what it showed before its copy-up.
  if (found.hasLower) table.setIno(node, found.inoLow, found.inoHigh);
  const directory = new Directory(found.takeParts());
  directory.redirect = found.redirect;
  directory.subdirectories = found.subdirectories;
  if (found.names !== null) keepNames(u, directory, found.names);
  table.setDirectory(node, directory);
  for (const part of directory.parts) if (part.fd >= 0) holdPart(u, node, part, part.fd);
  const r = found.layer === 0 && !found.fresh ? enterUpperDirectory(u, node, parent, name) : 0;
  if (r === 0) return node;
  release(u, node);
  return r;
}

/** What an upper directory may say beside what a search reads, in a directory that is impure: 0 or -errno. */
function enterUpperDirectory(u: Union, node: number, parent: number, name: string): number {
  const impure = isImpure(u, parent);
  if (impure <= 0) return impure;
  const fd = upperFd(u, parent);
  return fd < 0 ? fd : findProtattr(u, node, fd, name);
}

function addRow(u: Union, parent: number, name: string, type: number, layer: number): number {
  const { table, inodes } = u;
  const node = table.add(type, layer);
  table.addName(node, parent, name);
  inodes.show(u.stat);
  if (layer !== 0 && type !== DT_DIR) inodes.yield(inodes.fileSystem(u.stat));
  table.setIno(node, inodes.low, inodes.high);
  noteAttributes(u, node, u.stat);
  return node;
}

/**
 * `enter` for a non-directory of the upper; `entry` is that of the index it is a link of. In a directory that is not impure,
 * where no copies are, it costs no system call (for one of several links, which may be protected by another, one); elsewhere a listxattr(2), and four
 * more for a copy.
 */
function enterUpper(u: Union, parent: number, name: string, type: number, entry: Entry | null): number {
  const node = addRow(u, parent, name, type, 0);
  if (u.found.fresh) {
    u.table.setData(node, DATA_OWN);
    u.table.setLacksCapability(node, true);
    return node;
  }
  const impure = entry === null ? isImpure(u, parent) : 1;
  if (impure === 0 && u.stat.nlink === 1) return node;
  const fd = impure < 0 ? impure : upperFd(u, parent);
  const marks = fd < 0 ? fd : impure === 0 ? findProtattr(u, node, fd, name) : noteData(u, node, fd, name, u.stat);
  const r = marks < 0 ? marks : (marks & HAS_ORIGIN) === 0 ? 0 : showOrigin(u, node, fd, name, entry !== null);
  if (r >= 0) return node;
  release(u, node);
  return r;
}

/**
 * Reads the marks of the upper object (fd, name): HAS_* together, or -errno. The node learns where its data is; what a crash
 * left while that was being copied is put right, and `stat` read again.
 */
function noteData(u: Union, node: number, fd: number, name: string, stat: Stat): number {
  const found = readObjectMarks(fd, name);
  const read = found < 0 ? found : noteProtattr(u, node, fd, name, found);
  const marks = read < 0 ? read : found;
  if (marks < 0 || u.table.type(node) !== DT_REG) return marks;
  const own = hasData(u, fd, name, marks);
  if (own < 0) return own;
  u.table.setData(node, own === 1 ? DATA_OWN : DATA_BELOW);
  if ((marks & HAS_PENDING) === 0) return marks;
  if (u.readOnly) {
    const before = own === 1 ? null : voidBefore(fd, name, stat);
    if (before !== null) u.unsynced.voids.set(node, before);
    return marks;
  }
  let r: number;
  if ((marks & HAS_METACOPY) === 0) r = forgetPending(fd, name);
  else r = own === 1 ? adopt(u, node, fd, name, stat) : recoverMetacopy(fd, name);
  const again = r < 0 ? r : native.statx(fd, name, STATX_ALL, stat.bytes);
  return again < 0 ? again : marks;
}

/**
 * Gives the upper object (fd, name) the number of the lower one that it is a copy of: 0 (its own stays where there is none to
 * be had), or -errno. Of a lower file with several names there may be several copies, unless the index knows the one.
 */
function showOrigin(u: Union, node: number, fd: number, name: string, indexed: boolean): number {
  const { table, origins, inodes } = u;
  const r = origins.read(u, fd, name, table.parent(node), table.name(node), table.type(node));
  if (r <= 0 || (origins.lower.nlink > 1 && !indexed)) return Math.min(r, 0);
  inodes.show(origins.lower);
  if (inodes.claim(node)) table.setIno(node, inodes.low, inodes.high);
  return 0;
}

/** `enter` for a non-directory with several links, in the upper, in a lower layer, or copied up under another name. */
function enterLinked(u: Union, parent: number, name: string, type: number): number {
  const { found, stat, index, identities } = u;
  const known = identities.find(stat);
  if (known > 0) {
    regainName(u, known, parent, name);
    // A lower name of a file that has been copied up meanwhile.
    const r = u.table.layer(known) === found.layer ? 0 : statBacking(u, known, stat);
    return r < 0 ? r : known;
  }
  const part = u.table.directory(parent)?.partIn(found.layer);
  const fd = part ? partFd(u, parent, part) : -ENOENT;
  if (fd < 0) return fd;
  if (found.layer === 0) {
    const entry = index === null ? null : index.findUpper(fd, name, stat);
    if (typeof entry === "number") return entry;
    const node = enterUpper(u, parent, name, type, entry);
    if (node < 0) return node;
    identities.add(stat, node);
    if (entry !== null) index?.adopt(node, entry);
    return node;
  }
  const origin = index?.canHold(type) ? u.origins.encode(fd, name, stat) : null;
  if (typeof origin === "number") return origin;
  // Without a handle each name is a file of its own, which is what it becomes at copy-up.
  if (index === null || origin === null) return addRow(u, parent, name, type, found.layer);
  u.aside.copyFrom(stat);
  const entry = index.find(origin, stat, (u.ownership?.stored ?? null) !== null);
  if (entry === -EBADMSG) {
    u.warn("an entry of the index is no copy of this file: the file cannot be used", parent, name, -EIO);
    return -EIO;
  }
  if (typeof entry === "number") return entry;
  if (entry === null) {
    const node = addRow(u, parent, name, type, found.layer);
    if (index.grows) identities.add(stat, node);
    return node;
  }
  // `stat` is the entry's now; it goes on showing the number of the lower file.
  const copied = identities.find(stat);
  if (copied > 0) {
    identities.add(u.aside, copied);
    regainName(u, copied, parent, name);
    return copied;
  }
  const node = addRow(u, parent, name, type, 0);
  u.inodes.show(u.aside);
  if (u.inodes.claim(node)) u.table.setIno(node, u.inodes.low, u.inodes.high);
  identities.add(stat, node);
  identities.add(u.aside, node);
  index.adopt(node, entry);
  const marks = noteData(u, node, index.directory, entry.name, stat);
  if (marks >= 0) return node;
  release(u, node);
  return marks;
}
