import { ignore } from "../errno.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";

/** What the kernel takes of a path in one call, in bytes (PATH_MAX, without the NUL). */
const longest = 4095;

/** As `native.openBeneath`, for a path of any length: a descriptor or -errno. One more call for each 4 KiB of path. */
export function openBelow(dirfd: number, path: string, flags: number): number {
  let fd = dirfd;
  let at = 0;
  while (path.length - at > longest) {
    const end = path.lastIndexOf("/", at + longest);
    const next = native.openBeneath(fd, path.slice(at, end), O_PATH | O_DIRECTORY);
    leave(fd, dirfd);
    if (next < 0) return next;
    fd = next;
    at = end + 1;
  }
  const opened = native.openBeneath(fd, path.slice(at), flags);
  leave(fd, dirfd);
  return opened;
}

function leave(fd: number, dirfd: number): void {
  if (fd !== dirfd) ignore(native.close(fd), "an O_PATH descriptor");
}
