import { EBUSY, ENOTDIR, ENOTEMPTY } from "../../errno.js";
import { copyUpDirectory } from "../copy-up.js";
import { unpin } from "../held.js";
import { isEmpty } from "../listing.js";
import { parentOf, upperFd } from "../locate.js";
import { showsBelow } from "../merge.js";
import { ROOT } from "../node-table.js";
import { mayRemove } from "../protection.js";
import { forgetName, nodeAt, prepareLoss } from "../remove.js";
import type { Union } from "../union.js";
import { hideAbsent, hideDirectory, removeDirectory } from "../whiteout.js";

/** Removes a directory that shows no entries: 0 or -errno (ENOTEMPTY). */
export function rmdir(u: Union, parent: number, name: string): number {
  const directory = parentOf(u, parent);
  if (typeof directory === "number") return directory;
  let r = u.checkWritable();
  if (r < 0) return r;
  const node = nodeAt(u, parent, directory, name);
  if (node < 0) return node;
  if (node === ROOT) return -EBUSY;
  const victim = u.table.directory(node);
  if (victim === undefined) return -ENOTDIR;
  r = mayRemove(u, parent, node);
  if (r < 0) return r;
  const empty = isEmpty(u, node, victim);
  if (empty < 0) return empty;
  if (empty === 0) return -ENOTEMPTY;
  r = copyUpDirectory(u, parent);
  if (r < 0) return r;
  const shows = showsBelow(u, parent, directory, name);
  if (shows < 0) return shows;
  r = prepareLoss(u, node);
  if (r < 0) return r;
  const fd = upperFd(u, parent);
  if (fd < 0) r = fd;
  else if (victim.upper === null) r = hideAbsent(u, directory, fd, name);
  else r = shows === 1 ? hideDirectory(u, directory, fd, name) : removeDirectory(u, fd, name);
  if (r < 0) {
    unpin(u, node);
    return r;
  }
  if (victim.upper !== null) u.quota?.addDirectories(-1);
  directory.changed(-1);
  forgetName(u, node, parent, name);
  return 0;
}
