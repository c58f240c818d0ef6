/**
 * The descriptors that nodes have, in the cache or pinned: of the object, of a directory's parts, of data below.
 */
import { ignore } from "../errno.js";
import { O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { FILE, SOURCE } from "./descriptors.js";
import type { Directory } from "./directory.js";
import { locate } from "./locate.js";
import { ACCESS_PATH } from "./node-table.js";
import type { Union } from "./union.js";

/**
 * Before the last name of a node goes: makes sure that a descriptor leads to the object, for those who have it open.
 * 0 or -errno (EMFILE: the name must stay then).
 */
export function pin(u: Union, node: number): number {
  const { table } = u;
  if (table.isPinned(node)) return 0;
  const held = table.descriptor(node);
  if (held >= 0) {
    u.descriptors.release(held);
    markPinned(u, node);
    return 0;
  }
  const r = locate(u, node);
  if (r < 0) return r;
  let fd = openPin(u);
  if (fd < 0 && u.descriptors.makeRoom(fd)) {
    const again = locate(u, node);
    if (again < 0) return again;
    fd = openPin(u);
  }
  if (fd < 0) return fd;
  table.setDescriptor(node, fd, ACCESS_PATH);
  markPinned(u, node);
  return 0;
}

function openPin(u: Union): number {
  return u.atName === "" ? native.dup(u.atFd) : native.open(u.atFd, u.atName, O_PATH, 0);
}

/** Undoes `pin` for a node that kept its name after all, or has one again: there is a name to open it by. */
export function unpin(u: Union, node: number): void {
  const { table } = u;
  if (!table.isPinned(node)) return;
  table.setPinned(node, false);
  u.descriptors.unpin();
  const fd = table.descriptor(node);
  if (table.access(node) === ACCESS_PATH) {
    ignore(native.close(fd), "an O_PATH descriptor");
    table.setDescriptor(node, -1, ACCESS_PATH);
  } else {
    u.descriptors.keep(fd, node, FILE);
  }
}

/** Gives a node the descriptor of its data: into the cache, or pinned where no name is left to open it by again. */
export function hold(u: Union, node: number, fd: number, access: number): void {
  dropDescriptor(u, node);
  u.table.setDescriptor(node, fd, access);
  if (u.table.isNameless(node)) markPinned(u, node);
  else u.descriptors.keep(fd, node, FILE);
}

function markPinned(u: Union, node: number): void {
  u.table.setPinned(node, true);
  u.descriptors.pin();
}

/** Takes over a descriptor of the data that an open node had before it was copied up. */
export function holdBelow(u: Union, node: number, fd: number): void {
  const one = u.openFiles.get(node);
  const before = one?.below ?? -1;
  if (one !== undefined) one.below = fd;
  if (one === undefined || before >= 0) ignore(native.close(one === undefined ? fd : before), "only read");
  else u.descriptors.pin();
}

/** Closes the node's own descriptor, kept or pinned. */
export function dropDescriptor(u: Union, node: number): void {
  const { table } = u;
  const fd = table.descriptor(node);
  if (fd < 0) return;
  table.setDescriptor(node, -1, ACCESS_PATH);
  if (!table.isPinned(node)) {
    u.descriptors.drop(fd);
    return;
  }
  table.setPinned(node, false);
  u.descriptors.unpin();
  ignore(native.close(fd), "whatever was written through it was answered already");
}

/** Forgets where a metacopy's data is. */
export function dropSource(u: Union, node: number): void {
  const source = u.sources.get(node);
  if (source === undefined) return;
  u.sources.delete(node);
  if (source.fd >= 0) u.descriptors.drop(source.fd);
}

/** Closes the descriptors of a directory's parts and forgets their listings. */
export function dropParts(u: Union, directory: Directory): void {
  if (directory.known !== null) u.listedNames -= directory.known.count;
  for (const part of directory.parts) {
    if (part.known !== null) {
      part.known = null;
      part.listed = false;
    }
    u.keptLists.drop(part);
    if (part.fd < 0) continue;
    const fd = part.fd;
    part.fd = -1;
    u.descriptors.drop(fd);
  }
}

/** The cache has closed a descriptor: nothing names it any more. `layer` is that of a directory's part, FILE or SOURCE. */
export function forgetDescriptor(u: Union, node: number, layer: number, fd: number): void {
  if (layer === FILE) {
    u.table.setDescriptor(node, -1, ACCESS_PATH);
    return;
  }
  if (layer === SOURCE) {
    const source = u.sources.get(node);
    if (source !== undefined) source.fd = -1;
    return;
  }
  const part = u.table.directory(node)?.partIn(layer);
  if (part?.fd === fd) part.fd = -1;
}
