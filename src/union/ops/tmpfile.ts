import { ignore } from "../../errno.js";
import { S_IFREG, S_ISGID, STATX_ALL } from "../../layer/stat.js";
import { DT_REG, O_RDWR, O_TMPFILE } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyUpDirectory } from "../copy-up.js";
import type { Cred } from "../cred.js";
import { hold } from "../held.js";
import { parentOf, upperFd } from "../locate.js";
import { ACCESS_WRITE, DATA_OWN } from "../node-table.js";
import { mayAdd } from "../protection.js";
import type { StoredOwners } from "../stored-owner.js";
import type { Union } from "../union.js";

const nothing = new Uint8Array(0);

/**
 * Creates a file without a name in the file system of `parent` (O_TMPFILE). Returns its nodeid (one lookup counted,
 * attributes in `u.stat`) or -errno; EOPNOTSUPP where the upper's file system has no O_TMPFILE.
 */
export function tmpfile(u: Union, parent: number, mode: number, umask: number, cred: Cred): number {
  const directory = parentOf(u, parent);
  if (typeof directory === "number") return directory;
  let r = u.checkWritable();
  if (r === 0) r = mayAdd(u, parent);
  if (r === 0) r = copyUpDirectory(u, parent);
  if (r < 0) return r;
  const parentFd = upperFd(u, parent);
  if (parentFd < 0) return parentFd;
  const acl = native.getxattr(parentFd, "", "system.posix_acl_default", nothing) > 0;
  const permissions = (acl ? mode : mode & ~umask) & 0o7777;
  const { ownership } = u;
  const uid = ownership?.uidOnDisk(cred.uid) ?? cred.uid;
  const gid = ownership?.gidOnDisk(cred.gid) ?? cred.gid;
  if (uid < 0 || gid < 0) return Math.min(uid, gid);
  const stored = ownership?.stored ?? null;
  const fd =
    stored === null
      ? native.openAs(parentFd, ".", O_TMPFILE | O_RDWR, S_IFREG | permissions, uid, gid)
      : native.openAs(parentFd, ".", O_TMPFILE | O_RDWR, S_IFREG | 0o600 | (permissions & 0o777), 0, 0);
  if (fd < 0) return fd;
  r = native.statx(fd, "", STATX_ALL, u.stat.bytes);
  if (r === 0 && stored !== null) r = storeOwner(u, stored, parentFd, fd, permissions, uid, gid);
  if (r < 0) {
    ignore(native.close(fd), "the file goes with it");
    return r;
  }
  const node = u.table.add(DT_REG, 0);
  u.table.setData(node, DATA_OWN);
  hold(u, node, fd, ACCESS_WRITE);
  u.inodes.show(u.stat);
  u.table.setIno(node, u.inodes.low, u.inodes.high);
  u.table.addLookup(node);
  // Not yet linked: what the layer says (nlink 0, its own number) is what users see.
  u.stat.setIno(u.inodes.low, u.inodes.high);
  if (ownership !== null) {
    u.stat.uid = ownership.shownUid(u.stat.uid);
    u.stat.gid = ownership.shownGid(u.stat.gid);
  }
  return node;
}

/** Stores owner and mode of the new file `fd`, which `u.stat` describes then: 0 or -errno. */
function storeOwner(
  u: Union,
  stored: StoredOwners,
  parentFd: number,
  fd: number,
  permissions: number,
  uid: number,
  gid: number,
): number {
  const r = stored.read(parentFd, "", u.aside);
  if (r < 0) return r;
  const { stat } = u;
  stat.mode = S_IFREG | (permissions & 0o7700 & (stat.mode | 0o7000)) | (stat.mode & 0o077);
  stat.uid = uid;
  stat.gid = (u.aside.mode & S_ISGID) !== 0 ? u.aside.gid : gid;
  return stored.write(fd, "", stat);
}
