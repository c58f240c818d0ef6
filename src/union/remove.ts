/** What unlink, rmdir and a rename over something have in common: an object loses a name. */
import { STATX_ALL } from "../layer/stat.js";
import { native } from "../native/index.js";
import { keepSource } from "./data-source.js";
import type { Directory } from "./directory.js";
import { enter } from "./enter.js";
import { pin } from "./held.js";
import { find } from "./merge.js";
import { ROOT } from "./node-table.js";
import { loseName } from "./rows.js";
import { dropIfGone } from "./settle.js";
import type { Union } from "./union.js";

/**
 * The node under a name that the kernel wants changed: nearly always known, since the kernel looked it up first. -ENOENT or
 * another -errno. A row made here has no lookups: `u.release` it when done (`loseName` does).
 */
export function nodeAt(u: Union, parent: number, directory: Directory, name: string): number {
  const known = u.table.find(parent, name);
  if (known > 0) return known;
  const r = find(u, parent, directory, name);
  return r < 0 ? r : enter(u, parent, name);
}

/**
 * Prepares a node for the loss of one of its names: afterwards whoever has it open still reaches it. 0 or -errno; with
 * `unpin` when the name stayed after all, `forgetName` when it went.
 */
export function prepareLoss(u: Union, node: number): number {
  if (u.table.hasAliases(node)) return 0;
  const r = keepSource(u, node);
  return r < 0 ? r : pin(u, node);
}

/** The name is gone from disk: the row loses it, and the inode number if nothing is left of the object. */
export function forgetName(u: Union, node: number, parent: number, name: string): void {
  if (u.inodes.keepsAny && u.table.layer(node) === 0 && !u.table.hasAliases(node)) {
    const fd = u.table.descriptor(node);
    if (fd >= 0 && native.statx(fd, "", STATX_ALL, u.aside.bytes) === 0) {
      const gone = u.aside.nlink === 0 || u.aside.isDirectory;
      if (gone) u.inodes.drop(u.aside);
    }
  }
  dropIfGone(u, node);
  loseName(u, node, parent, name);
}

/** Whether `node` is `ancestor` or lies below it: a directory cannot move into itself. */
export function isBelow(u: Union, node: number, ancestor: number): boolean {
  for (let at = node; ; at = u.table.parent(at)) {
    if (at === ancestor) return true;
    if (at === ROOT || at === 0) return false;
  }
}
