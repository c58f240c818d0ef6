import { native } from "../native/index.js";
import { isNoAttribute } from "./marks.js";
import { S_ISGID, STATX_ALL, Stat } from "./stat.js";

const stat = new Stat();

/**
 * Takes what the directory (dirfd, name) would hand down to all that is made in it, a default ACL and a set-group-ID bit, which it has from
 * the one that it was made in: 0 or -errno. The access ACL comes from there, too.
 */
export function handDownNothing(dirfd: number, name: string): number {
  for (const acl of ["system.posix_acl_default", "system.posix_acl_access"]) {
    const r = native.removexattr(dirfd, name, acl);
    if (r < 0 && !isNoAttribute(r)) return r;
  }
  const r = native.statx(dirfd, name, STATX_ALL, stat.bytes);
  return r < 0 || (stat.mode & S_ISGID) === 0 ? r : native.chmod(dirfd, name, stat.mode & 0o7777 & ~S_ISGID);
}
