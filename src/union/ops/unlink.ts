import { EISDIR } from "../../errno.js";
import { DT_DIR } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyUpDirectory } from "../copy-up.js";
import { unpin } from "../held.js";
import { isInUpper, keepCount, nameGone } from "../links.js";
import { parentOf, upperFd } from "../locate.js";
import { showsBelow } from "../merge.js";
import { mayRemove } from "../protection.js";
import { forgetName, nodeAt, prepareLoss } from "../remove.js";
import type { Union } from "../union.js";
import { hideAbsent, hideFile } from "../whiteout.js";

/** Removes a name of a non-directory: 0 or -errno. Whoever has the object open goes on using it. */
export function unlink(u: Union, parent: number, name: string): number {
  const directory = parentOf(u, parent);
  if (typeof directory === "number") return directory;
  let r = u.checkWritable();
  if (r < 0) return r;
  const node = nodeAt(u, parent, directory, name);
  if (node < 0) return node;
  if (u.table.type(node) === DT_DIR) return -EISDIR;
  r = mayRemove(u, parent, node);
  if (r === 0) r = copyUpDirectory(u, parent);
  if (r === 0) r = keepCount(u, node);
  if (r < 0) return r;
  const shows = showsBelow(u, parent, directory, name);
  if (shows < 0) return shows;
  const inUpper = isInUpper(u, node, parent, name);
  r = inUpper < 0 ? inUpper : prepareLoss(u, node);
  if (r < 0) return r;
  const fd = upperFd(u, parent);
  if (fd < 0) r = fd;
  else if (inUpper === 0) r = hideAbsent(u, directory, fd, name);
  else r = shows === 1 ? hideFile(u, directory, fd, name) : native.unlink(fd, name, 0);
  if (r < 0) {
    unpin(u, node);
    return r;
  }
  u.committed = true;
  directory.changed(0);
  r = nameGone(u, node, inUpper === 1);
  forgetName(u, node, parent, name);
  return r;
}
