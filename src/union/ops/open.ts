/** Opening regular files for passthrough: the kernel reads, writes and maps the backing file by itself. */
import { EINVAL, EROFS, ESTALE, ignore } from "../../errno.js";
import { S_IFREG } from "../../layer/stat.js";
import { O_ACCMODE, O_DIRECT, O_RDONLY, O_RDWR, O_TRUNC, SEEK_END } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyUpData } from "../copy-up.js";
import { creation } from "../create-at.js";
import type { Cred } from "../cred.js";
import { hold } from "../held.js";
import { ACCESS_WRITE } from "../node-table.js";
import { mayOpen } from "../protection.js";
import { closeFile, dropLookup, succeed } from "../rows.js";
import type { Changer } from "../set-id.js";
import { settle } from "../settle.js";
import type { Union } from "../union.js";
import { hasOwnData, readFd, writeFd } from "./data.js";
import { mknod } from "./mknod.js";
import { truncate } from "./setattr.js";

/**
 * Opens a regular file once more; `release` undoes it. Returns the id of its backing (0: the kernel refuses to have it for
 * one, so reads and writes come here), PARK, or -errno. ESTALE: the file was copied up while its lower data are open, so that
 * only another nodeid can be opened; the kernel looks the name up again by itself. A first open costs a descriptor of the
 * data (often one that is open already) and an ioctl. `changer`: somebody whose O_TRUNC takes set-id bits away, or null.
 */
export function open(u: Union, node: number, flags: number, changer: Changer | null): number {
  const { table, openFiles } = u;
  if (!table.isAlive(node) || openFiles.successor(node) > 0) return -ESTALE;
  // What the kernel writes and syncs by itself, it would not tell.
  const settled = settle(u, node);
  if (settled < 0) return settled;
  const truncates = (flags & O_TRUNC) !== 0;
  const access = flags & O_ACCMODE;
  const before = openFiles.get(node);
  let fd = -1;
  if (truncates || access !== O_RDONLY) {
    const may = mayOpen(u, node, flags);
    if (may < 0) return may;
    // Without a name there is nothing that the kernel could look up again, so nothing may change either.
    if (table.isNameless(node) && openFiles.isOld(node)) return -ESTALE;
    const copied = truncates ? copyUpData(u, node, 0) : 0;
    fd = copied < 0 ? copied : backingFd(u, node, flags);
    if (fd < 0) return fd;
    if (succeedIfOld(u, node)) return -ESTALE;
    const r = truncates ? truncate(u, node, 0, changer) : 0;
    if (r < 0) return r;
  } else if (before === undefined || (flags & O_DIRECT) !== 0) {
    fd = backingFd(u, node, flags);
    if (fd < 0) return fd;
  }
  // Who has a backing file writes to it however it was opened, and so past what protects it (protection.ts).
  const mayPass = table.protection(node) === 0;
  const backing = before === undefined ? (mayPass ? openFiles.register(fd) : 0) : before.backing;
  return opened(u, node, access, backing, before === undefined && hasOwnData(u, node));
}

/** Counts one more open file of a node, and returns its backing. `isOwn`: of a first one, whether its data are the upper's. */
function opened(u: Union, node: number, access: number, backing: number, isOwn: boolean): number {
  const { openFiles } = u;
  const before = openFiles.get(node);
  if (before === undefined) openFiles.add(node, backing, isOwn);
  else before.handles++;
  if (access !== O_RDONLY) openFiles.setWritten(node);
  // Only such a descriptor can be mapped shared and writable.
  if (access === O_RDWR && backing > 0) openFiles.setMappable(node);
  return backing;
}

/**
 * Opens a regular file once more, like `open`, but passes through only what is the upper's own, and no copy that is not synced yet, so that
 * all who have a file open see the same data whatever happens to it; and, for reading, lower files that are big (`lowerLeast`): who has such a
 * one open keeps to it when it is copied up. Any other lower file, which is copied up at the first write, has no backing (0), and a file that is
 * open without one stays so until it is closed. O_TRUNC is left to the truncation that the kernel asks for next.
 */
export function openAuto(u: Union, node: number, flags: number): number {
  const { table, openFiles } = u;
  if (!table.isAlive(node) || openFiles.successor(node) > 0) return -ESTALE;
  if (openFiles.isOld(node)) return open(u, node, flags & ~O_TRUNC, null);
  const access = flags & O_ACCMODE;
  const may = mayOpen(u, node, flags & ~O_TRUNC);
  if (may < 0) return may;
  const before = openFiles.get(node);
  if (before !== undefined && before.backing === 0) return opened(u, node, access, 0, false);
  const isOwn = before !== undefined || mayPassOwn(u, node);
  const fd = isOwn ? backingFd(u, node, flags) : bigLowerFd(u, node, flags);
  if (fd < 0) return fd;
  const backing = before?.backing ?? (fd > 0 ? openFiles.register(fd) : 0);
  return opened(u, node, access, backing, isOwn && backing > 0);
}

/** The kernel would not tell of O_SYNC and msync(2), which must settle a copy that is not synced yet. */
function mayPassOwn(u: Union, node: number): boolean {
  return u.table.protection(node) === 0 && u.unsynced.of(node) === undefined && hasOwnData(u, node);
}

/** The kernel opens a program to run it (__FMODE_EXEC). */
const EXECUTES = 0x20;

/**
 * A descriptor of data in a lower layer that are worth a backing, 0 if they are not, or -errno. Lower files keep their size. A program is not
 * passed through: it stays open for as long as it runs, and would keep opens from being no messages (`isBound`).
 */
function bigLowerFd(u: Union, node: number, flags: number): number {
  const { openFiles, table } = u;
  if (openFiles.lowerLeast === Number.POSITIVE_INFINITY || (flags & (O_ACCMODE | EXECUTES)) !== O_RDONLY) return 0;
  if (table.protection(node) !== 0 || hasOwnData(u, node)) return 0;
  const fd = backingFd(u, node, flags);
  if (fd < 0) return fd;
  return native.lseek(fd, 0, SEEK_END) >= openFiles.lowerLeast ? fd : 0;
}

/**
 * A descriptor of the file behind a node, which is opened with these flags: or -errno, PARK. The kernel opens a backing anew with
 * the caller's flags, and would call a refusal EIO: so what a descriptor that was open before does not tell is tried here, O_DIRECT and
 * writing to a file system that is read-only by now. Two system calls more, for those.
 */
function backingFd(u: Union, node: number, flags: number): number {
  const writes = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
  const wasHeld = u.table.descriptor(node) >= 0;
  const fd = writes ? writeFd(u, node) : readFd(u, node);
  if (fd < 0 || ((flags & O_DIRECT) === 0 && !(writes && wasHeld))) return fd;
  const again = native.reopen(fd, (flags & O_DIRECT) | (writes ? O_RDWR : O_RDONLY));
  if (again >= 0) ignore(native.close(again), "only a check");
  return again === -EINVAL || again === -EROFS ? again : fd;
}

/**
 * Before a change of data: if the data below are open, and so the node's backing, the row gives its names to a successor.
 * The node must have been copied up. Whether that was so.
 */
export function succeedIfOld(u: Union, node: number): boolean {
  if (!u.openFiles.isOld(node)) return false;
  succeed(u, node);
  return true;
}

/** One open file of a node is closed. */
export function release(u: Union, node: number): void {
  const one = u.openFiles.get(node);
  if (one !== undefined && --one.handles === 0) closeFile(u, node);
}

/**
 * Creates a regular file and opens it: its nodeid (one lookup counted, attributes in `u.stat`) or -errno; the id of the
 * backing is then in `u.openFiles`.
 */
export function create(
  u: Union,
  parent: number,
  name: string,
  mode: number,
  umask: number,
  flags: number,
  cred: Cred,
): number {
  creation.opens = true;
  let node: number;
  let fd: number;
  try {
    node = mknod(u, parent, name, S_IFREG | (mode & 0o7777), 0, 0, umask, cred);
  } finally {
    fd = creation.fd;
    creation.opens = false;
    creation.fd = -1;
  }
  if (fd >= 0) {
    if (node < 0) ignore(native.close(fd), "nothing was written through it");
    else hold(u, node, fd, ACCESS_WRITE);
  }
  return node < 0 ? node : openCreated(u, node, flags);
}

/** Opens a file that has just been made, and keeps `u.stat`: the nodeid, or -errno with the lookup taken back. */
export function openCreated(u: Union, node: number, flags: number): number {
  const { openFiles, table } = u;
  const fd = table.descriptor(node);
  if (fd >= 0 && (flags & O_DIRECT) === 0 && table.protection(node) === 0) {
    ignore(opened(u, node, flags & O_ACCMODE, openFiles.register(fd), true), "the backing is in `openFiles`");
    return node;
  }
  u.created.copyFrom(u.stat);
  // It is empty: there is nothing to truncate, and no privilege to lose.
  const backing = open(u, node, flags & ~O_TRUNC, null);
  u.stat.copyFrom(u.created);
  if (backing >= 0) return node;
  dropLookup(u, node);
  return backing;
}

/**
 * The descriptor to read what those see who have the node open: the data below, if they were open before the copy-up.
 * Or -errno. Valid until the next call.
 */
export function openFd(u: Union, node: number): number {
  const one = u.openFiles.get(node);
  return one !== undefined && one.below >= 0 ? one.below : readFd(u, node);
}
