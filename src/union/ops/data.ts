/** Data of regular files: descriptors from the cache, writes, what to sync. */
import { EINVAL, EISDIR, ENOSPC, EPERM, ESTALE, ignore } from "../../errno.js";
import { DT_DIR, DT_REG, O_DIRECTORY, O_NOATIME, O_RDONLY, O_RDWR } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyUpData } from "../copy-up.js";
import { dataPlace, sourceFd } from "../data-source.js";
import { hold } from "../held.js";
import { locate, upperFd } from "../locate.js";
import { ACCESS_READ, ACCESS_WRITE, DATA_BELOW, DATA_OWN, ROOT } from "../node-table.js";
import { mayChange, mayWrite } from "../protection.js";
import { type Changer, dropSetIdBits } from "../set-id.js";
import { settle, settleEach } from "../settle.js";
import type { Union } from "../union.js";

/** A descriptor to read the file `node`, or -errno. It belongs to the cache: valid until the next call into the union. */
export function readFd(u: Union, node: number): number {
  return dataFd(u, node, ACCESS_READ);
}

/** A descriptor to read and write the file, which is copied up first; PARK or -errno. */
export function writeFd(u: Union, node: number): number {
  const r = copyUpData(u, node);
  return r < 0 ? r : dataFd(u, node, ACCESS_WRITE);
}

/**
 * The same to put data or holes anywhere into it, without saying that it is at the end: EPERM for a protected file. A hole in a copy
 * that is not synced would look like missing data after a crash: that is settled first.
 */
export function changeFd(u: Union, node: number): number {
  let r = mayChange(u, node);
  if (r === 0) r = copyUpData(u, node);
  if (r === 0) r = settle(u, node);
  return r < 0 ? r : dataFd(u, node, ACCESS_WRITE);
}

/** Whether a node's data lie in the upper, so that they can be written where they are. */
export function hasOwnData(u: Union, node: number): boolean {
  return u.table.layer(node) === 0 && dataPlace(u, node) === DATA_OWN;
}

function dataFd(u: Union, node: number, access: number): number {
  const { table } = u;
  if (!table.isAlive(node)) return -ESTALE;
  const held = table.descriptor(node);
  if (held >= 0 && table.access(node) >= access) {
    if (!table.isPinned(node)) u.descriptors.touch(held);
    return held;
  }
  const type = table.type(node);
  if (type !== DT_REG) return type === DT_DIR ? -EISDIR : -EINVAL;
  const place = dataPlace(u, node);
  if (place < 0) return place;
  if (place === DATA_BELOW) return sourceFd(u, node);
  let fd = openData(u, node, access);
  if (fd < 0 && u.descriptors.makeRoom(fd)) fd = openData(u, node, access);
  if (fd < 0) return fd;
  hold(u, node, fd, access);
  return fd;
}

function openData(u: Union, node: number, access: number): number {
  const r = locate(u, node);
  if (r < 0) return r;
  const mode = access === ACCESS_WRITE ? O_RDWR : O_RDONLY;
  const fd = openAt(u, mode | O_NOATIME);
  // O_NOATIME is for the owner: a driver without CAP_FOWNER may not use it on others' files.
  return fd === -EPERM ? openAt(u, mode) : fd;
}

function openAt(u: Union, flags: number): number {
  return u.atName === "" ? native.reopen(u.atFd, flags) : native.open(u.atFd, u.atName, flags, 0);
}

const CAPABILITY = "security.capability";
const capability = Buffer.alloc(64);

/**
 * Writes to a file. `changer`: a writer who takes set-id bits away, or null. `mapped`: what was written to memory; it takes
 * no privileges away, whereas the kernel drops security.capability with every write(2), ours included. Returns the bytes
 * written, PARK, or -errno.
 */
export function write(
  u: Union,
  node: number,
  data: Uint8Array,
  start: number,
  length: number,
  offset: number,
  changer: Changer | null,
  mapped: boolean,
): number {
  const may = mayWrite(u, node, offset, mapped);
  if (may < 0) return may;
  const fd = writeFd(u, node);
  if (fd < 0) return fd;
  if (changer !== null) {
    const r = dropSetIdBits(u, fd, "", changer);
    if (r < 0) return r;
  }
  const most = u.quota === null ? length : u.quota.admit(fd, offset, length);
  if (most < 0) return most;
  const kept = mapped ? native.getxattr(fd, "", CAPABILITY, capability) : -1;
  let written = native.pwrite(fd, data, start, most, offset);
  // The kernel takes any count for success when it writes what was mapped: nobody would hear that some of it is lost.
  if (mapped && written >= 0 && written < length) {
    const rest = written < most ? native.pwrite(fd, data, start + written, most - written, offset + written) : 0;
    written = rest < 0 ? rest : written + rest < length ? -ENOSPC : length;
  }
  u.quota?.measure(fd);
  // Also after a write that failed half-way: the half took the capability away.
  const r = kept < 0 ? 0 : native.setxattr(fd, "", CAPABILITY, capability.subarray(0, kept), 0);
  return written >= 0 && r < 0 ? r : written;
}

let directorySync = -1;

/**
 * The descriptor whose fsync makes a node durable, 0 if there is nothing to do (a lower object is, a volatile mount does
 * not care), PARK or -errno. Valid until the next call. Of a copy that was not synced yet the data comes first, then its marks
 * go, then that is synced.
 */
export function fsyncFd(u: Union, node: number): number {
  if (!u.table.isAlive(node)) return -ESTALE;
  if (u.volatile || u.table.layer(node) !== 0) return 0;
  const settled = settle(u, node);
  if (settled < 0) return settled;
  if (u.table.type(node) === DT_REG) {
    const place = dataPlace(u, node);
    // The data of a metacopy is safe below; its attributes are what it has.
    if (place === DATA_BELOW) return openObjectToSync(u, node);
    return place < 0 ? place : dataFd(u, node, ACCESS_READ);
  }
  if (u.table.type(node) !== DT_DIR) return 0;
  if (u.table.isNameless(node) && node !== ROOT) return 0;
  const fd = upperFd(u, node);
  return fd < 0 ? fd : openToSync(fd);
}

/** The descriptor whose syncfs makes the whole upper durable, 0 if there is nothing to do, PARK or -errno. */
export function syncfsFd(u: Union): number {
  if (u.volatile || u.readOnly) return 0;
  const settled = settleEach(u);
  if (settled < 0) return settled;
  const fd = upperFd(u, ROOT);
  return fd < 0 ? fd : openToSync(fd);
}

function openObjectToSync(u: Union, node: number): number {
  const r = locate(u, node);
  if (r < 0) return r;
  if (directorySync >= 0) ignore(native.close(directorySync), "only read");
  directorySync = openAt(u, O_RDONLY);
  return directorySync;
}

/** An O_PATH descriptor cannot be synced: this opens the directory for real, one at a time. */
function openToSync(fd: number): number {
  if (directorySync >= 0) ignore(native.close(directorySync), "only read");
  directorySync = native.open(fd, ".", O_RDONLY | O_DIRECTORY, 0);
  return directorySync;
}
