import type { Union } from "../union.js";

/** Closes a handle that `opendir` gave. */
export function releasedir(u: Union, handle: number): number {
  u.handles.remove(handle);
  return 0;
}
