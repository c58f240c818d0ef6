import { native } from "../../native/index.js";
import { ROOT } from "../node-table.js";
import type { Union } from "../union.js";

/** Reads the file system statistics of the topmost layer, where new data goes, within its limit, into `u.statfs`: 0 or -errno. */
export function statfs(u: Union, _node: number): number {
  const top = u.table.directory(ROOT)?.top;
  const r = native.statfs(top?.fd ?? -1, u.statfs);
  if (r === 0) u.quota?.limitStatfs(u.statfs);
  return r;
}
