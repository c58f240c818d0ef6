import { createAt, creation, enterCreated } from "../create-at.js";
import type { Cred } from "../cred.js";
import type { Union } from "../union.js";

/**
 * Creates a regular file, fifo, socket or device owned by the caller. Returns its nodeid (one lookup counted, attributes
 * in `u.stat`) or -errno.
 */
export function mknod(
  u: Union,
  parent: number,
  name: string,
  mode: number,
  rdevMajor: number,
  rdevMinor: number,
  umask: number,
  cred: Cred,
): number {
  creation.mode = mode;
  creation.major = rdevMajor;
  creation.minor = rdevMinor;
  creation.umask = umask;
  creation.uid = cred.uid;
  creation.gid = cred.gid;
  creation.hardLink = 0;
  const r = createAt(u, parent, name, creation);
  return r < 0 ? r : enterCreated(u, parent, name);
}
