/** Extended attributes. Marks of union file systems are neither shown nor touched (xattr-names.ts). */
import { E2BIG, ENODATA, ENOSPC, EOPNOTSUPP, EPERM, ERANGE } from "../../errno.js";
import { S_ISGID, STATX_ALL } from "../../layer/stat.js";
import { native } from "../../native/index.js";
import { copyUp } from "../copy-up.js";
import { ACL_UNKNOWN } from "../directory.js";
import { locate } from "../locate.js";
import { applyStored, changeMode } from "../ownership.js";
import { mayChange } from "../protection.js";
import { INLINE_VALUE, type Quota } from "../quota.js";
import { settle } from "../settle.js";
import { ACL_VERSION_SIZE } from "../stored-owner.js";
import type { Union } from "../union.js";
import { isReserved, shownName, storedName } from "../xattr-names.js";

const nothing = new Uint8Array(0);
const CAPABILITY = "security.capability";

/**
 * Sets an attribute; `flags` are XATTR_CREATE and XATTR_REPLACE. `aclKillSgid`: an ACL comes from a caller who may
 * not keep the set-group-ID bit. 0, PARK, or -errno.
 */
export function setxattr(
  u: Union,
  node: number,
  name: string,
  value: Uint8Array,
  flags: number,
  aclKillSgid: boolean,
): number {
  const { ownership } = u;
  if (isReserved(name) || ownership?.hides(name)) return -EPERM;
  let r = mayChange(u, node);
  if (r === 0) r = copyUp(u, node);
  if (r === 0) r = locate(u, node);
  if (r < 0) return r;
  if (name === CAPABILITY) u.table.setLacksCapability(node, false);
  const stored = ownership === null ? value : ownership.storedValue(name, value, u.scratch);
  if (typeof stored === "number") return stored;
  // A short one lies in the inode.
  if (u.quota !== null && stored.length > INLINE_VALUE) r = admitValue(u, u.quota, name, stored.length);
  if (r < 0) return r;
  r = native.setxattr(u.atFd, u.atName, storedName(name), stored, flags);
  u.quota?.measure(u.atFd, u.atName);
  if (r === -ENOSPC && u.unsynced.of(node) !== undefined) {
    // The marks of a copy that is not synced take room, too.
    r = settle(u, node);
    return r < 0 ? r : setxattr(u, node, name, value, flags, aclKillSgid);
  }
  if (r === 0) r = aclChanged(u, node, name, value.length > ACL_VERSION_SIZE);
  // The kernel says so with a default ACL too, which changes no mode.
  if (r < 0 || !aclKillSgid || name !== "system.posix_acl_access") return r;
  r = native.statx(u.atFd, u.atName, STATX_ALL, u.aside.bytes);
  if (r === 0) r = applyStored(u, u.atFd, u.atName, u.aside);
  if (r < 0 || (u.aside.mode & S_ISGID) === 0) return r;
  return changeMode(u, u.atFd, u.atName, u.aside.mode & 0o7777 & ~S_ISGID);
}

/** Whether a value of so many bytes fits, of the object that `locate` found: 0 or -ENOSPC. Near the limit, what it has more than the present one must. */
function admitValue(u: Union, quota: Quota, name: string, length: number): number {
  const fits = quota.admitBlocks(length);
  if (fits === 0) return 0;
  const present = native.getxattr(u.atFd, u.atName, storedName(name), nothing);
  if (present < 0) return fits;
  return length <= present ? 0 : quota.admitBlocks(length - present);
}

/** Whether a node is known not to have an attribute, so that nobody need look. */
export function isKnownAbsent(u: Union, node: number, name: string): boolean {
  return name === CAPABILITY && u.table.isAlive(node) && u.table.lacksCapability(node);
}

/**
 * Reads an attribute into `out`: its length, or -errno; an empty `out` asks for the length only. Before each chown(2) and the first
 * write the kernel asks for the capabilities of a file: of one that has none only once, and of one made in this mount never.
 */
export function getxattr(u: Union, node: number, name: string, out: Uint8Array): number {
  const { ownership } = u;
  if (isReserved(name) || ownership?.hides(name)) return -ENODATA;
  const r = locate(u, node);
  if (r < 0) return r;
  if (isKnownAbsent(u, node, name)) return -ENODATA;
  const length = native.getxattr(u.atFd, u.atName, storedName(name), out);
  if (name === CAPABILITY && length === -ENODATA) u.table.setLacksCapability(node, true);
  return ownership === null ? length : ownership.showValue(u.atFd, u.atName, name, out, length);
}

/**
 * Writes the names, each ended by a NUL, into `out`: the length, or -errno; an empty `out` asks for the length only. `trusted`: whether
 * the caller may know of attributes of that name space (the kernel filters values by itself, but not lists); asked only where there are
 * such, since the answer may cost a look into /proc.
 */
export function listxattr(u: Union, node: number, trusted: () => boolean, out: Uint8Array): number {
  const r = locate(u, node);
  if (r < 0) return r;
  const length = native.listxattr(u.atFd, u.atName, u.scratch);
  if (length === -EOPNOTSUPP) return 0;
  if (length <= 0) return length === -ERANGE ? -E2BIG : length;
  let shown = "";
  for (let at = 0; at < length; ) {
    const end = u.scratch.indexOf(0, at);
    const name = shownName(u.scratch.latin1Slice(at, end));
    at = end + 1;
    if (name === null || u.ownership?.hides(name)) continue;
    if (!name.startsWith("trusted.") || trusted()) shown += `${name}\0`;
  }
  if (out.length === 0) return shown.length;
  if (shown.length > out.length) return -ERANGE;
  for (let i = 0; i < shown.length; i++) out[i] = shown.charCodeAt(i);
  return shown.length;
}

/** Removes an attribute: 0, PARK, or -errno (ENODATA: there is none, and nothing is copied up for that). */
export function removexattr(u: Union, node: number, name: string): number {
  if (isReserved(name) || u.ownership?.hides(name)) return -ENODATA;
  let r = mayChange(u, node);
  if (r === 0) r = locate(u, node);
  if (r < 0) return r;
  const present = native.getxattr(u.atFd, u.atName, storedName(name), nothing);
  // An ACL that is not there can be removed, as on ext4, xfs and btrfs.
  if (present === -ENODATA && name.startsWith("system.posix_acl_")) return 0;
  if (present < 0) return present;
  r = copyUp(u, node);
  if (r === 0) r = locate(u, node);
  if (r < 0) return r;
  r = native.removexattr(u.atFd, u.atName, storedName(name));
  u.quota?.measure(u.atFd, u.atName);
  u.committed = r === 0;
  return r < 0 ? r : aclChanged(u, node, name, false);
}

/** What depends on an ACL of the object that `locate` found: 0 or -errno. `any`: there is one now. Without it the mode is as it was. */
function aclChanged(u: Union, node: number, name: string, any: boolean): number {
  if (name === "system.posix_acl_access") return any ? (u.ownership?.stored?.followAcl(u.atFd, u.atName) ?? 0) : 0;
  if (name !== "system.posix_acl_default") return 0;
  const directory = u.table.directory(node);
  if (directory !== undefined) directory.defaultAcl = ACL_UNKNOWN;
  return 0;
}
