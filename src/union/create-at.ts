/**
 * The one skeleton of creation: mkdir, mknod, symlink and link differ only in the system call. A new name appears at once
 * and complete: made in place where nothing is in the way, otherwise (over a whiteout, or with a name that looks like one)
 * built in the work directory and renamed into place.
 */
import { EEXIST, ENAMETOOLONG, EPERM, ignore } from "../errno.js";
import { isNoAttribute, looksLikeMark, WHITEOUT_PREFIX } from "../layer/marks.js";
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISGID, STATX_ALL, Stat } from "../layer/stat.js";
import { AT_REMOVEDIR, O_CREAT, O_EXCL, O_NOATIME, O_RDWR, RENAME_EXCHANGE } from "../native/constants.js";
import { native } from "../native/index.js";
import { copyUpDirectory } from "./copy-up.js";
import {
  ACL_NONE,
  ACL_SOME,
  ACL_UNKNOWN,
  type Directory,
  newPart,
  type Part,
  PURE,
  WH_NONE,
  WH_UNKNOWN,
} from "./directory.js";
import { enter } from "./enter.js";
import { setImpureFor } from "./impure.js";
import { learnMarks } from "./listing.js";
import { locate, parentOf, partFd } from "./locate.js";
import { isMarked, judge, NAME_MAX, WHITEOUT } from "./merge.js";
import { freeMarkerName } from "./move.js";
import { isFileInUpper, type Ownership } from "./ownership.js";
import { present } from "./present.js";
import { mayAdd } from "./protection.js";
import { dropLookup } from "./rows.js";
import type { StoredOwners } from "./stored-owner.js";
import type { Union } from "./union.js";

const DEFAULT_ACL = "system.posix_acl_default";
const nothing = new Uint8Array(0);
const NEW_FILE = O_CREAT | O_EXCL | O_RDWR | O_NOATIME;

/** A symbolic link that is not longer lies in its inode (ext4; elsewhere longer ones may). */
const INLINE_LINK = 59;

/** What to create; one object, filled for each request. */
export interface Creation {
  /** S_IFMT bits and permissions; `hardLink` overrides the type. */
  mode: number;
  major: number;
  minor: number;
  /** Of a symbolic link. */
  target: string;
  umask: number;
  uid: number;
  gid: number;
  /** The node to link, or 0. */
  hardLink: number;
  /**
   * Of a regular file: it is to be opened for reading and writing as it is made, where that costs nothing. `fd` is the descriptor then,
   * the caller's to close also when something fails, else -1.
   */
  opens: boolean;
  fd: number;
}

function nothingToCreate(): Creation {
  return { mode: 0, major: 0, minor: 0, target: "", umask: 0, uid: 0, gid: 0, hardLink: 0, opens: false, fd: -1 };
}

export const creation = nothingToCreate();

/** What is really made where owners are stored: an object of the driver's user. */
const own = nothingToCreate();

const there = new Stat();
const parentStat = new Stat();

/**
 * Creates `name` in the directory `parent` as `c` says. 0, with `u.stat` holding the raw attributes of the new backing
 * object and `u.found` prepared for `enter`; or -errno.
 */
export function createAt(u: Union, parent: number, name: string, c: Creation): number {
  const directory = parentOf(u, parent);
  if (typeof directory === "number") return directory;
  let r = u.checkWritable();
  if (r < 0) return r;
  if (name.length > NAME_MAX) return -ENAMETOOLONG;
  r = mayAdd(u, parent);
  if (r === 0) r = copyUpDirectory(u, parent);
  if (r === 0 && c.hardLink !== 0) r = setImpureFor(u, c.hardLink, parent);
  if (r < 0) return r;
  const upper = directory.upper as Part;
  const parentFd = partFd(u, parent, upper);
  if (parentFd < 0) return parentFd;
  if (upper.marked === WH_UNKNOWN) {
    r = learnMarks(u, parent, upper);
    if (r < 0) return r;
  }
  const marked = isMarked(u, parent, upper, name);
  if (marked < 0) return marked;
  const acl = hasDefaultAcl(directory, parentFd);
  if (acl < 0) return acl;
  if (c.hardLink === 0 && u.ownership !== null) {
    r = takeIds(u.ownership, c);
    if (r < 0) return r;
  }
  const isDirectory = c.hardLink === 0 && (c.mode & S_IFMT) === S_IFDIR;
  if (u.quota !== null && c.hardLink === 0) {
    if (isDirectory) r = u.quota.admitDirectory();
    else if ((c.mode & S_IFMT) === S_IFLNK && c.target.length > INLINE_LINK) r = u.quota.admitBlocks(c.target.length);
    if (r < 0) return r;
  }
  const stores = c.hardLink === 0 && (u.ownership?.stored ?? null) !== null;
  const lookalike = needsPlain(u, name, c);
  if (marked === 0 && !lookalike && !stores) {
    r = c.opens ? makeOpen(u, c, parentFd, name, acl === ACL_SOME) : make(u, c, parentFd, name, acl === ACL_SOME);
    if (r === -EEXIST && isWhiteoutThere(upper, parentFd, name))
      r = createOver(u, parent, directory, parentFd, name, c, true);
  } else {
    const hides = marked === 1 || lookalike || isWhiteoutThere(upper, parentFd, name);
    r = createOver(u, parent, directory, parentFd, name, c, hides);
  }
  if (r < 0) return r;
  if (isDirectory) u.quota?.addDirectories(1);
  r = native.statx(parentFd, name, STATX_ALL, u.stat.bytes);
  if (r < 0) return r;
  // An ACL may be inherited, which counts as the other attributes of a directory do.
  if (u.stat.isSymlink || (isDirectory && acl === ACL_SOME)) u.quota?.count(u.stat, parentFd, name);
  directory.changed(u.stat.isDirectory ? 1 : 0);
  u.found.reset();
  u.found.layer = 0;
  u.found.fresh = true;
  if (u.stat.isDirectory) {
    const part = newPart(0, null);
    part.marked = WH_NONE;
    part.purity = PURE;
    u.found.add(part);
  }
  return 0;
}

/** Puts the ids of the disk in the place of those users know: 0, or -EOVERFLOW and nothing may be created. */
function takeIds(ownership: Ownership, c: Creation): number {
  const uid = ownership.uidOnDisk(c.uid);
  const gid = ownership.gidOnDisk(c.gid);
  if (uid < 0 || gid < 0) return Math.min(uid, gid);
  c.uid = uid;
  c.gid = gid;
  return 0;
}

function isWhiteoutDevice(c: Creation): boolean {
  return c.hardLink === 0 && (c.mode & S_IFMT) === S_IFCHR && c.major === 0 && c.minor === 0;
}

/** Whether the new object would be taken for a mark, if it did not say that it is none. */
function needsPlain(u: Union, name: string, c: Creation): boolean {
  const type = c.hardLink !== 0 ? u.table.type(c.hardLink) : (c.mode & S_IFMT) >> 12;
  return isWhiteoutDevice(c) || looksLikeMark(name, isFileInUpper(u, type));
}

/** Whether the upper part's default ACL decides the mode of new objects: ACL_NONE, ACL_SOME, or -errno. */
function hasDefaultAcl(directory: Directory, fd: number): number {
  if (directory.defaultAcl === ACL_UNKNOWN) {
    const length = native.getxattr(fd, "", DEFAULT_ACL, nothing);
    if (length < 0 && !isNoAttribute(length)) return length;
    directory.defaultAcl = length > 0 ? ACL_SOME : ACL_NONE;
  }
  return directory.defaultAcl;
}

/** The system call itself, at (dirfd, name). The umask does not apply where a default ACL does (acl(5)). */
function make(u: Union, c: Creation, dirfd: number, name: string, acl: boolean): number {
  if (c.hardLink !== 0) {
    const r = locate(u, c.hardLink);
    return r < 0 ? r : native.link(u.atFd, u.atName, dirfd, name);
  }
  const mode = acl ? c.mode : c.mode & ~c.umask;
  switch (c.mode & S_IFMT) {
    case S_IFDIR:
      return native.mkdirAs(dirfd, name, mode & 0o7777, c.uid, c.gid);
    case S_IFLNK:
      return native.symlinkAs(c.target, dirfd, name, c.uid, c.gid);
    default:
      return native.mknodAs(dirfd, name, mode, c.major, c.minor, c.uid, c.gid);
  }
}

/** Makes a regular file, and opens it by the same system call: 0 or -errno. */
function makeOpen(u: Union, c: Creation, dirfd: number, name: string, acl: boolean): number {
  const mode = (acl ? c.mode : c.mode & ~c.umask) & 0o7777;
  let fd = native.openAs(dirfd, name, NEW_FILE, mode, c.uid, c.gid);
  if (fd < 0 && u.descriptors.makeRoom(fd)) fd = native.openAs(dirfd, name, NEW_FILE, mode, c.uid, c.gid);
  c.fd = Math.max(fd, -1);
  return Math.min(fd, 0);
}

function isWhiteoutThere(upper: Part, parentFd: number, name: string): boolean {
  if (native.statx(parentFd, name, STATX_ALL, there.bytes) !== 0) return false;
  return judge(parentFd, name, there, upper.xattrWhiteouts) === WHITEOUT;
}

/** Creates in the work directory and renames into place, over a whiteout if there is one. `hides`: a directory must be opaque. */
function createOver(
  u: Union,
  parent: number,
  directory: Directory,
  parentFd: number,
  name: string,
  c: Creation,
  hides: boolean,
): number {
  const temporary = u.work.temporary();
  const stored = u.ownership?.stored ?? null;
  let r: number;
  if (c.hardLink !== 0) r = make(u, c, u.work.fd, temporary, false);
  else if (stored !== null) r = makeStored(u, stored, directory, parentFd, temporary, c);
  else r = makeStaged(u, directory, parentFd, temporary, c);
  if (r < 0) return r;
  const isDirectory = c.hardLink === 0 && (c.mode & S_IFMT) === S_IFDIR;
  if (isDirectory && hides) r = u.work.setOpaque(u.work.fd, temporary);
  if (r === 0 && needsPlain(u, name, c)) r = u.work.setPlain(u.work.fd, temporary);
  if (r === 0) r = freeMarkerName(u, parent, directory, parentFd, name);
  if (r === 0) r = putInPlace(u, temporary, isDirectory, directory.upper as Part, parentFd, name);
  if (r < 0) {
    u.work.discard(temporary);
    return r;
  }
  removeMark(u, parent, directory.upper, name);
  return 0;
}

/**
 * Renames a finished temporary to (parentFd, name), where nothing or a whiteout is: 0 or -errno (EEXIST: a mark that is still
 * needed has this name).
 */
function putInPlace(
  u: Union,
  temporary: string,
  isDirectory: boolean,
  upper: Part,
  parentFd: number,
  name: string,
): number {
  const present = native.statx(parentFd, name, STATX_ALL, there.bytes) === 0;
  if (present && judge(parentFd, name, there, upper.xattrWhiteouts) !== WHITEOUT) return -EEXIST;
  if (!present || !isDirectory) return native.rename(u.work.fd, temporary, parentFd, name, 0);
  // A directory cannot replace the whiteout, a device: they change places.
  const r = native.rename(u.work.fd, temporary, parentFd, name, RENAME_EXCHANGE);
  if (r === 0) u.work.discard(temporary);
  return r;
}

/**
 * Removes the `.wh.` file that hid a name of an upper directory, if there is one (a user's own file of that name is none).
 * The new object, opaque if a directory, hides what is below by itself.
 */
export function removeMark(u: Union, parent: number, upper: Part | null, name: string): void {
  if (upper === null || isMarked(u, parent, upper, name) !== 1) return;
  const fd = partFd(u, parent, upper);
  ignore(native.unlink(fd, WHITEOUT_PREFIX + name, 0), "beside a real entry the mark hides nothing that is not hidden");
}

/**
 * Makes the object in the work directory as it would be made in its parent. A set-group-ID bit or a default ACL of the
 * parent decides about group and mode: the kernel applies both in a staging directory that has them too.
 */
function makeStaged(u: Union, directory: Directory, parentFd: number, temporary: string, c: Creation): number {
  let r = native.statx(parentFd, "", STATX_ALL, parentStat.bytes);
  if (r < 0) return r;
  const acl = directory.defaultAcl === ACL_SOME;
  if (!acl && (parentStat.mode & S_ISGID) === 0) return make(u, c, u.work.fd, temporary, false);
  const staging = u.work.temporary();
  r = native.mkdirAs(u.work.fd, staging, 0o700, 0, 0);
  if (r < 0) return r;
  r = native.chown(u.work.fd, staging, parentStat.uid, parentStat.gid);
  if (r === 0) r = native.chmod(u.work.fd, staging, parentStat.mode & 0o7777);
  if (r === 0 && acl) {
    const length = native.getxattr(parentFd, "", DEFAULT_ACL, u.scratch);
    r = length < 0 ? length : native.setxattr(u.work.fd, staging, DEFAULT_ACL, u.scratch.subarray(0, length), 0);
  }
  const inside = `${staging}/x`;
  if (r === 0) r = make(u, c, u.work.fd, inside, acl);
  if (r === 0) r = native.rename(u.work.fd, inside, u.work.fd, temporary, 0);
  if (r < 0) u.work.discard(staging);
  else ignore(native.unlink(u.work.fd, staging, AT_REMOVEDIR), "the next mount clears the work directory");
  return r;
}

/**
 * Makes the object in the work directory as the driver's own, with its owner, mode and type stored beside it: 0 or -errno. A
 * default ACL is applied by the kernel, and what it makes of the permissions is stored.
 */
function makeStored(
  u: Union,
  stored: StoredOwners,
  directory: Directory,
  parentFd: number,
  temporary: string,
  c: Creation,
): number {
  let r = stored.read(parentFd, "", parentStat);
  if (r < 0) return r;
  const type = c.mode & S_IFMT;
  inheritGroup(c, parentStat);
  const { uid, gid, mode, major, minor } = c;
  if (type === S_IFLNK && stored.linksAreReal) {
    r = native.symlinkAs(c.target, u.work.fd, temporary, uid, gid);
    if (r !== -EPERM) return r;
  }
  const acl = directory.defaultAcl === ACL_SOME;
  const permissions = acl ? mode : mode & ~c.umask;
  own.mode = type === S_IFLNK ? c.mode : type === S_IFDIR ? S_IFDIR | 0o700 : S_IFREG | 0o600;
  own.mode |= permissions & 0o777;
  own.target = c.target;
  r = makeStaged(u, directory, parentFd, temporary, own);
  if (r === 0) r = native.statx(u.work.fd, temporary, STATX_ALL, there.bytes);
  if (r < 0 || (type === S_IFLNK && stored.linksAreReal)) return r;
  there.uid = uid;
  there.gid = gid;
  // The owner's permissions may have been widened, for the driver.
  there.mode = type | (permissions & 0o7700 & (there.mode | 0o7000)) | (there.mode & 0o077);
  there.setRdev(major, minor);
  r = stored.write(u.work.fd, temporary, there);
  if (r < 0) u.work.discard(temporary);
  return r;
}

/** Group and set-group-ID bit, in a directory that has the bit, as the kernel gives them. */
function inheritGroup(c: Creation, parent: Stat): void {
  if ((parent.mode & S_ISGID) === 0) return;
  c.gid = parent.gid;
  if ((c.mode & S_IFMT) === S_IFDIR) c.mode |= S_ISGID;
}

/** The node of what `createAt` made: a new row, one lookup counted, `u.stat` as users see it. */
export function enterCreated(u: Union, parent: number, name: string): number {
  const node = enter(u, parent, name);
  if (node < 0) return node;
  u.table.addLookup(node);
  const r = present(u, node);
  if (r === 0) return node;
  dropLookup(u, node);
  return r;
}
