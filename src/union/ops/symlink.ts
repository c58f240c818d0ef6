import { S_IFLNK } from "../../layer/stat.js";
import { creation } from "../create-at.js";
import type { Cred } from "../cred.js";
import type { Union } from "../union.js";
import { mknod } from "./mknod.js";

/** Creates a symbolic link to `target`. Returns its nodeid (one lookup counted, attributes in `u.stat`) or -errno. */
export function symlink(u: Union, parent: number, name: string, target: string, cred: Cred): number {
  creation.target = target;
  return mknod(u, parent, name, S_IFLNK | 0o777, 0, 0, 0, cred);
}
