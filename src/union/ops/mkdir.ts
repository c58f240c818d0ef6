import { S_IFDIR } from "../../layer/stat.js";
import type { Cred } from "../cred.js";
import type { Union } from "../union.js";
import { mknod } from "./mknod.js";

/** Creates a directory owned by the caller. Returns its nodeid (one lookup counted, attributes in `u.stat`) or -errno. */
export function mkdir(u: Union, parent: number, name: string, mode: number, umask: number, cred: Cred): number {
  return mknod(u, parent, name, S_IFDIR | (mode & 0o7777), 0, 0, umask, cred);
}
