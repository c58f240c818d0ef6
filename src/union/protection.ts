/**
 * Immutable and append-only objects (chattr(1)): the driver enforces what the flags say, since FUSE has no such inodes. They are
 * those of the backing inode, or the letters of `overlay.protattr` on an object of the upper, whose inode never gets the flags:
 * the driver must go on changing it. The node table holds them: what changes something asks it, without a system call.
 * Their bits are the same in stx_attributes, in FS_IOC_GETFLAGS and in the table.
 */
import { ENOTTY, EOPNOTSUPP, EPERM, ERANGE, ignore } from "../errno.js";
import { HAS_PROTATTR, readObjectMarks, readProtattr } from "../layer/marks.js";
import { STATX_ALL, type Stat } from "../layer/stat.js";
import { FS_IOC_GETFLAGS, O_ACCMODE, O_APPEND, O_DIRECTORY, O_RDONLY, O_TRUNC } from "../native/constants.js";
import { native } from "../native/index.js";
import { locate } from "./locate.js";
import { APPEND_ONLY, IMMUTABLE, PROTECTED } from "./node-table.js";
import type { Union } from "./union.js";

const LETTER_APPEND = 0x61;
const LETTER_IMMUTABLE = 0x69;
const letters = Buffer.alloc(32);

const argument = new Uint8Array(8);

/** Gives a node what its backing inode says, in `stat`. */
export function noteAttributes(u: Union, node: number, stat: Stat): void {
  const bits = stat.attributesLow & PROTECTED;
  if (bits !== 0 && hasFlags(u, u.table.layer(node), stat)) u.table.protect(node, bits);
}

/**
 * Whether the file system of an object, which `stat` describes, has the flags at all. erofs has not, and calls everything
 * immutable in statx(2) because nobody can write to it. Asked once for each file system, of the root of its layer.
 */
function hasFlags(u: Union, layer: number, stat: Stat): boolean {
  const device = stat.devMajor * 4294967296 + stat.devMinor;
  const known = u.flagged.get(device);
  if (known !== undefined) return known;
  const root = native.reopen(u.layers[layer]?.root ?? -1, O_RDONLY | O_DIRECTORY);
  if (root < 0) return true;
  const r = native.ioctl(root, FS_IOC_GETFLAGS, argument);
  ignore(native.close(root), "only an ioctl was made through it");
  const has = r !== -ENOTTY && r !== -EOPNOTSUPP;
  u.flagged.set(device, has);
  return has;
}

/** Reads `overlay.protattr` of the upper object (dirfd, name) for a node whose marks are HAS_* `marks`: 0 or -errno. */
export function noteProtattr(u: Union, node: number, dirfd: number, name: string, marks: number): number {
  if ((marks & HAS_PROTATTR) === 0) return 0;
  const length = readProtattr(dirfd, name, letters);
  // As in overlayfs: a value that is too long is passed over, and so are letters of a later version.
  if (length < 0) return length === -ERANGE ? 0 : length;
  let bits = 0;
  for (const letter of letters.subarray(0, length)) {
    if (letter === LETTER_APPEND) bits |= APPEND_ONLY;
    else if (letter === LETTER_IMMUTABLE) bits |= IMMUTABLE;
    else break;
  }
  if (bits !== 0) u.table.protect(node, bits);
  return 0;
}

/** The same where the marks have not been looked for: one listxattr(2). */
export function findProtattr(u: Union, node: number, dirfd: number, name: string): number {
  const marks = readObjectMarks(dirfd, name);
  return marks < 0 ? marks : noteProtattr(u, node, dirfd, name, marks);
}

/** Stores `bits` on the upper object (dirfd, name), or takes the mark away: 0 or -errno. */
export function storeProtattr(u: Union, dirfd: number, name: string, bits: number): number {
  const { protattr } = u.work.names;
  if (bits === 0) return native.removexattr(dirfd, name, protattr);
  const text = ((bits & APPEND_ONLY) !== 0 ? "a" : "") + ((bits & IMMUTABLE) !== 0 ? "i" : "");
  return native.setxattr(dirfd, name, protattr, Buffer.from(text, "latin1"), 0);
}

/** Whether attributes of an object may change, or its names: 0 or -EPERM. */
export function mayChange(u: Union, node: number): number {
  return u.table.protection(node) === 0 ? 0 : -EPERM;
}

/** Whether names may be added to a directory, or data at the end of a file: 0 or -EPERM. */
export function mayAdd(u: Union, node: number): number {
  return (u.table.protection(node) & IMMUTABLE) === 0 ? 0 : -EPERM;
}

/** Whether a name may be taken away from a node and from the directory that it is in: 0 or -EPERM. */
export function mayRemove(u: Union, parent: number, node: number): number {
  return ((u.table.protection(parent) | u.table.protection(node)) & PROTECTED) === 0 ? 0 : -EPERM;
}

/** Whether a file may be opened with `flags`, where the driver is told of opens: 0 or -EPERM. */
export function mayOpen(u: Union, node: number, flags: number): number {
  if ((flags & O_TRUNC) !== 0) return mayChange(u, node);
  if ((flags & O_ACCMODE) === O_RDONLY) return 0;
  return (flags & O_APPEND) !== 0 ? mayAdd(u, node) : mayChange(u, node);
}

/**
 * Whether data may be written at `offset`: 0, -EPERM, or another -errno. Files are opened without a message that would say
 * whether they are to be appended to: what is written at the end is. `mapped`: what was written to memory, perhaps before
 * the flag was set.
 */
export function mayWrite(u: Union, node: number, offset: number, mapped: boolean): number {
  const bits = u.table.protection(node);
  if (bits === 0) return 0;
  if (mapped) return u.table.isLateProtected(node) ? 0 : -EPERM;
  if ((bits & IMMUTABLE) !== 0) return -EPERM;
  const r = locate(u, node);
  const read = r < 0 ? r : native.statx(u.atFd, u.atName, STATX_ALL, u.aside.bytes);
  return read < 0 ? read : offset === u.aside.size ? 0 : -EPERM;
}
