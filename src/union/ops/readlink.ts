import { EINVAL } from "../../errno.js";
import { DT_LNK } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { locate } from "../locate.js";
import type { Union } from "../union.js";

/** Reads the target of a symbolic link into `u.scratch`: its length in bytes, or -errno. */
export function readlink(u: Union, node: number): number {
  const r = locate(u, node);
  if (r < 0) return r;
  return u.table.type(node) === DT_LNK ? native.readlink(u.atFd, u.atName, u.scratch) : -EINVAL;
}
