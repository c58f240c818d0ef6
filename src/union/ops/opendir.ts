import { ENOTDIR, ESTALE } from "../../errno.js";
import { DT_DIR } from "../../native/constants.js";
import type { Union } from "../union.js";

/** Opens a directory for reading: a handle for `readdir`, or -errno. */
export function opendir(u: Union, node: number): number {
  if (!u.table.isAlive(node)) return -ESTALE;
  return u.table.type(node) === DT_DIR ? u.handles.add(node) : -ENOTDIR;
}
