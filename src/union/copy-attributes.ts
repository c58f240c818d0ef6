/** What a copy takes along from the object it is made of. */
import { EINVAL, EOPNOTSUPP, EOVERFLOW, errnoName } from "../errno.js";
import { S_IFLNK, Stat } from "../layer/stat.js";
import { native } from "../native/index.js";
import { copyFlags } from "./copy-flags.js";
import type { StoredOwners } from "./stored-owner.js";
import type { Union } from "./union.js";
import { copiedName, mustCopyUp } from "./xattr-names.js";

/** What the source of a copy is shown as, where it says so itself. */
const shownAs = new Stat();
const list = Buffer.alloc(64 * 1024);
const value = Buffer.alloc(64 * 1024);

/** What is logged where the times of a directory cannot be put back. */
export const NOT_PUT_BACK = "the times of a directory changed with a copy-up and could not be put back";

/**
 * Puts back access and modification time of the directory `fd`, as `stat` has them; the change time, which nothing can put back,
 * is shown as it was until users change the directory (tar, for one, takes it for a change of the contents). The change that
 * moved them is already on disk, so a failure is no reason to refuse the operation: it is logged.
 */
export function restoreTimes(u: Union, node: number, fd: number, stat: Stat): void {
  const directory = u.table.directory(node);
  if (directory !== undefined) directory.ctime ??= stat.ctimeWords.slice();
  const r = native.utimens(fd, "", stat.atime, stat.atimeNsec, stat.mtime, stat.mtimeNsec);
  if (r < 0) u.warn(NOT_PUT_BACK, node, "", r);
}

/**
 * Gives (toFd, toName) the owner, extended attributes (ACLs and capabilities among them), mode and times of
 * (fromFd, fromName), which `stat` describes. chown drops set-id bits and capabilities, so it comes first; an ACL changes
 * the mode, so the mode follows it; times come last. Flags of chattr(1) go along too. 0 or -errno.
 */
export function copyAttributes(
  u: Union,
  fromFd: number,
  fromName: string,
  stat: Stat,
  toFd: number,
  toName: string,
): number {
  const stored = u.ownership?.stored ?? null;
  let r = stored === null ? native.chown(toFd, toName, stat.uid, stat.gid) : 0;
  // An id that the driver's user namespace does not have: what the kernel says of whatever belongs to one.
  if (r < 0) return r === -EINVAL ? -EOVERFLOW : r;
  r = copyXattrs(u, fromFd, fromName, toFd, toName);
  if (r === 0) r = copyFlags(u, fromFd, fromName, stat, toFd, toName);
  if (r < 0) return r;
  if (stored !== null) {
    r = copyOwner(stored, fromFd, fromName, stat, toFd, toName);
    if (r < 0) return r;
  } else if (stat.type !== S_IFLNK) {
    r = native.chmod(toFd, toName, stat.mode & 0o7777);
    if (r < 0) return r;
  }
  return native.utimens(toFd, toName, stat.atime, stat.atimeNsec, stat.mtime, stat.mtimeNsec);
}

/** Stores the owner and mode that (fromFd, fromName) is shown with, `stat` being what its layer says, with (toFd, toName): 0 or -errno. */
export function copyOwner(
  stored: StoredOwners,
  fromFd: number,
  fromName: string,
  stat: Stat,
  toFd: number,
  toName: string,
): number {
  shownAs.copyFrom(stat);
  const r = stored.apply(fromFd, fromName, shownAs);
  return r < 0 ? r : stored.adopt(toFd, toName, shownAs);
}

/** Gives (toFd, toName) the extended attributes of (fromFd, fromName) but marks: 0 or -errno. */
export function copyXattrs(u: Union, fromFd: number, fromName: string, toFd: number, toName: string): number {
  const length = native.listxattr(fromFd, fromName, list);
  if (length === -EOPNOTSUPP) return 0;
  if (length < 0) return length;
  for (let at = 0; at < length; ) {
    const end = list.indexOf(0, at);
    const name = list.latin1Slice(at, end);
    at = end + 1;
    const stored = copiedName(name, u.work.names);
    if (stored === null || u.ownership?.hides(name)) continue;
    const size = native.getxattr(fromFd, fromName, name, value);
    if (size < 0) return size;
    const r = native.setxattr(toFd, toName, stored, value.subarray(0, size), 0);
    // Somebody in an ACL whom the driver's user namespace does not have: as with owners.
    if (r === -EINVAL && stored.startsWith("system.posix_acl_")) return -EOVERFLOW;
    if (r < 0 && (r !== -EOPNOTSUPP || mustCopyUp(stored))) return r;
    if (r < 0 && u.isNewWarning(`lost attribute\0${name}`))
      u.log("warn", "an extended attribute is lost: the upper cannot hold it", { name, error: errnoName(r) });
  }
  return 0;
}
