/** A finished copy in the work directory becomes the object that users see: by one rename, or as an entry of the index. */
import { EEXIST, EIO, EOPNOTSUPP, EPERM } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR } from "../native/constants.js";
import { native } from "../native/index.js";
import { NOT_PUT_BACK } from "./copy-attributes.js";
import { copyUpDirectory } from "./copy-up.js";
import { setImpure } from "./impure.js";
import { bringName } from "./links.js";
import { locate, upperFd } from "./locate.js";
import { shownLinks } from "./present.js";
import type { Union } from "./union.js";

const copy = new Stat();
const parentTimes = new Stat();

/** The copy is in the index, and so under every name of the file. */
export const PUBLISHED = 1;

/**
 * Publishes the copy of a lower file with several links, which `lower` describes: PUBLISHED, 0 if the file has no handle or no
 * link is left (it is then published like any other), or -errno.
 */
export function publishLinked(u: Union, node: number, temporary: string, lower: Stat): number {
  const links = shownLinks(u, node, lower.nlink);
  const { index } = u;
  if (!index?.grows || links === 0 || !index.canHold(u.table.type(node))) return 0;
  let r = locate(u, node);
  if (r < 0) return r;
  const origin = u.origins.encode(u.atFd, u.atName, lower);
  if (origin === null) return 0;
  if (typeof origin === "number") return origin;
  r = native.statx(u.work.fd, temporary, STATX_ALL, copy.bytes);
  if (r === 0) r = index.publish(node, u.work.fd, temporary, origin, links);
  if (r < 0) return r;
  u.inodes.claimShown(u.table, node);
  u.identities.add(copy, node);
  return PUBLISHED;
}

/** Links the copy to the names by which its file is known, so that the upper has them too: 0 or -errno. */
export function bringNames(u: Union, node: number): number {
  if (u.table.isNameless(node)) return 0;
  for (const { parent, name } of u.table.namesOf(node)) {
    let r = copyUpDirectory(u, parent);
    if (r === 0) r = bringName(u, node, parent, name);
    if (r < 0) return r;
  }
  return 0;
}

/** The temporary says of what it is a copy. */
export const STORED = 1;

/**
 * What says of which lower object, described by `lower`, a copy of the node is one: null (it cannot be said, or need not) or -errno. It is
 * true until the next call.
 */
export function originOf(u: Union, node: number, lower: Stat): Buffer | null | number {
  if (u.table.isNameless(node)) return null;
  // Without the index several copies may be made of a file with several names: none of them is it.
  if (u.table.type(node) !== DT_DIR && lower.nlink > 1) return null;
  const r = locate(u, node);
  return r < 0 ? r : u.origins.encode(u.atFd, u.atName, lower);
}

/**
 * Marks the unpublished (dirfd, name) as a copy of the lower object that `lower` describes: STORED, 0 (it cannot be, or need not), or -errno.
 * Before other marks: ext4 keeps what it has room for in the inode, and gives the rest a block, from which nothing ever moves back.
 */
export function storeOrigin(u: Union, node: number, dirfd: number, name: string, lower: Stat): number {
  const origin = originOf(u, node, lower);
  if (origin === null) return 0;
  if (typeof origin === "number") return origin;
  const r = native.setxattr(dirfd, name, u.work.names.origin, origin, 0);
  if (r === -EOPNOTSUPP || r === -EPERM) return 0;
  return r < 0 ? r : STORED;
}

/** The copy goes on showing the node's inode number, if need be for as long as the mount lives. */
function keepNumber(u: Union, node: number, made: Stat, links: number, stored: boolean): void {
  const { table, inodes } = u;
  if (table.type(node) === DT_DIR) return;
  if (stored) {
    inodes.claimShown(table, node);
  } else if (links > 1) {
    // The other names still show the lower file, which is another one now.
    inodes.show(made);
    table.setIno(node, inodes.low, inodes.high);
  } else {
    inodes.keep(made, table.inoLow(node), table.inoHigh(node));
  }
}

/**
 * Renames a finished temporary to where the node is seen, in the upper part of its parent, whose times stay as they were:
 * users did not change the directory. The new object, the copy of what `lower` describes, goes on showing the node's inode
 * number. `stored`: what `storeOrigin` returned. 0 or -errno.
 */
export function publish(
  u: Union,
  node: number,
  temporary: string,
  lower: Stat,
  stored = storeOrigin(u, node, u.work.fd, temporary, lower),
): number {
  const r = stored < 0 ? stored : native.statx(u.work.fd, temporary, STATX_ALL, copy.bytes);
  return r < 0 ? r : put(u, node, u.work.fd, temporary, copy, lower, stored);
}

/** The same for (dirfd, name), which `made` describes: a temporary, or with "" a descriptor of a file without a name. */
export function put(
  u: Union,
  node: number,
  dirfd: number,
  name: string,
  made: Stat,
  lower: Stat,
  stored: number,
): number {
  const { table } = u;
  const parent = table.parent(node);
  const parentFd = upperFd(u, parent);
  if (parentFd < 0) return parentFd;
  const directory = table.directory(parent);
  let r = 0;
  // Users did not change it, so its change time, which nothing can put back, is shown as it was until they do (tar, for one, takes it for a
  // change of the contents).
  if (directory !== undefined && directory.ctime === null) {
    r = native.statx(parentFd, "", STATX_ALL, parentTimes.bytes);
    if (r === 0) directory.ctime = parentTimes.ctimeWords.slice();
  }
  // A metacopy that a crash left unfinished, and what is protected, is looked for in impure directories only.
  const looked = stored === STORED || u.metacopy || table.protection(node) !== 0;
  if (r === 0 && looked) r = setImpure(u, parent);
  if (r < 0) return r;
  const base = table.name(node);
  r = native.publish(dirfd, name, parentFd, base);
  if (r === -EEXIST) {
    u.warn("the upper changed beneath the mount: copy-up would replace an object", parent, base, r);
    return -EIO;
  }
  if (r < 0) return r;
  // The copy is on disk: no reason to refuse the operation.
  if (r > 0) u.warn(NOT_PUT_BACK, parent, "", -r);
  keepNumber(u, node, made, lower.nlink, stored === STORED);
  // A listing made before says that the entry is in a lower part: a lookup must not begin there any more.
  if (directory !== undefined) directory.version++;
  return 0;
}
