import { native } from "../../native/index.js";
import type { Union } from "../union.js";
import { openFd } from "./open.js";

/** SEEK_DATA and SEEK_HOLE (the kernel answers the others): the offset found, or -errno (ENXIO past the end). */
export function lseek(u: Union, node: number, offset: number, whence: number): number {
  const fd = openFd(u, node);
  return fd < 0 ? fd : native.lseek(fd, offset, whence);
}
