/**
 * The life of a row of the node table, with all that belongs to it: names gained and lost, rows freed, successors.
 */
import { ignore } from "../errno.js";
import { native } from "../native/index.js";
import { dropDescriptor, dropParts, dropSource, hold, unpin } from "./held.js";
import { ACCESS_PATH, ROOT } from "./node-table.js";
import type { Union } from "./union.js";

/** Gives a known node one more name. A pinned descriptor goes back to the cache: there is a name to open it by again. */
export function regainName(u: Union, node: number, parent: number, name: string): void {
  const { table } = u;
  table.addName(node, parent, name);
  u.identities.setNameless(node, false);
  unpin(u, node);
}

/** A node lost the name; `pin` has been called if it was the last one. */
export function loseName(u: Union, node: number, parent: number, name: string): void {
  const directory = u.table.directory(node);
  if (directory !== undefined) dropParts(u, directory);
  u.table.removeName(node, parent, name);
  if (u.table.isNameless(node)) u.identities.setNameless(node, true);
  release(u, parent);
  release(u, node);
}

/** Whether a row stays, or is none: something still refers to it. */
function isHeld(u: Union, node: number): boolean {
  const { table } = u;
  return (
    node === ROOT ||
    !table.isAlive(node) ||
    table.hasLookups(node) ||
    table.hasChildren(node) ||
    u.openFiles.isNeeded(node)
  );
}

/** Frees a row that neither the kernel nor a child refers to, and then its parents as far as that holds for them. */
export function release(u: Union, node: number): void {
  const { table } = u;
  if (isHeld(u, node)) return;
  const pending = [node];
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    // A parent of two names of one node stands in the list twice.
    if (isHeld(u, one)) continue;
    const directory = table.directory(one);
    if (directory !== undefined) dropParts(u, directory);
    if (u.quota !== null && table.isNameless(one))
      u.quota.gone(table.descriptor(one), (directory?.upper ?? null) !== null);
    dropDescriptor(u, one);
    dropSource(u, one);
    u.identities.drop(one);
    u.inodes.unclaim(one, table.inoLow(one), table.inoHigh(one));
    u.copies.abandon(one);
    u.unsynced.forget(one);
    u.index?.forget(one);
    table.dropNames(one, (parent) => void pending.push(parent));
    table.remove(one);
    closeFile(u, one);
    const successor = u.openFiles.forget(one);
    if (successor > 0) pending.push(successor);
  }
}

/** Nobody has the node open any more. */
export function closeFile(u: Union, node: number): void {
  const below = u.openFiles.remove(node);
  if (below < 0) return;
  u.descriptors.unpin();
  ignore(native.close(below), "only read");
}

/**
 * A file lies in the upper now, and its data below are still open: a new row takes over its names and all that belongs to
 * the copy, and shows the same inode number.
 */
export function succeed(u: Union, node: number): void {
  const { table } = u;
  const next = table.add(table.type(node), table.layer(node));
  table.setIno(next, table.inoLow(node), table.inoHigh(node));
  if (u.inodes.isClaimed(node, table.inoLow(node), table.inoHigh(node))) u.inodes.claimShown(table, next);
  table.setData(next, table.data(node));
  table.inheritProtection(next, node);
  if (!table.isNameless(node)) {
    for (const { parent, name } of table.namesOf(node)) {
      table.removeName(node, parent, name);
      table.addName(next, parent, name);
    }
  }
  const fd = table.descriptor(node);
  if (fd >= 0) {
    const access = table.access(node);
    if (table.isPinned(node)) {
      table.setPinned(node, false);
      u.descriptors.unpin();
    } else u.descriptors.release(fd);
    table.setDescriptor(node, -1, ACCESS_PATH);
    hold(u, next, fd, access);
  }
  u.unsynced.move(node, next);
  u.identities.move(node, next);
  u.index?.move(node, next);
  u.openFiles.succeed(node, next);
}

/** Takes back a lookup that was counted for an answer which is not given. */
export function dropLookup(u: Union, node: number): void {
  if (u.table.dropLookups(node, 1) === 0) release(u, node);
}
