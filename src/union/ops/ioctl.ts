/**
 * The file attributes of chattr(1) and the inode version. Those of the backing object, but for what forbids changes: that the
 * driver enforces by itself, and stores beside (protection.ts).
 */
import { ENOTTY, EPERM, ignore } from "../../errno.js";
import {
  DT_DIR,
  DT_REG,
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_GETVERSION,
  FS_IOC_SETFLAGS,
  O_DIRECTORY,
  O_NONBLOCK,
  O_RDONLY,
} from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyUp } from "../copy-up.js";
import { setImpure } from "../impure.js";
import { locate } from "../locate.js";
import { APPEND_ONLY, IMMUTABLE, PROTECTED } from "../node-table.js";
import { statNode } from "../present.js";
import { storeProtattr } from "../protection.js";
import { settle } from "../settle.js";
import type { Union } from "../union.js";

/** Of struct fsxattr, in its first word; in FS_IOC_GETFLAGS these are IMMUTABLE and APPEND_ONLY themselves. */
const FS_XFLAG_IMMUTABLE = 0x8;
const FS_XFLAG_APPEND = 0x10;

/** Who sets attributes. */
export interface Setter {
  /** A user ID; -1: one that may change what belongs to others. */
  uid: number;
  /** CAP_LINUX_IMMUTABLE. */
  mayProtect: boolean;
}

/** Room for the argument of a command, its first word being flags. */
const argument = new Uint8Array(32);
const words = new Uint32Array(argument.buffer);
const wanted = new Uint8Array(32);
const wantedWords = new Uint32Array(wanted.buffer);

/** Bytes that a command reads into its argument, or 0 for one that is not served. */
function answerSize(command: number): number {
  switch (command) {
    case FS_IOC_GETFLAGS:
    case FS_IOC_GETVERSION:
      return 4;
    case FS_IOC_FSGETXATTR:
      return 28;
    default:
      return 0;
  }
}

/** IMMUTABLE and APPEND_ONLY as the first word of a command's argument has them. */
function flagsOf(command: number, bits: number): number {
  if (command === FS_IOC_GETFLAGS || command === FS_IOC_SETFLAGS) return bits;
  return ((bits & IMMUTABLE) !== 0 ? FS_XFLAG_IMMUTABLE : 0) | ((bits & APPEND_ONLY) !== 0 ? FS_XFLAG_APPEND : 0);
}

/** Reads attributes of a file or directory into `out`: the length of the answer, or -errno (ENOTTY: not served). */
export function getFlags(u: Union, node: number, command: number, out: Uint8Array): number {
  const size = answerSize(command);
  if (size === 0) return -ENOTTY;
  const r = call(u, node, command, argument);
  if (r < 0) return r;
  if (command !== FS_IOC_GETVERSION) addProtection(u, node, command);
  out.set(argument.subarray(0, Math.min(size, out.length)));
  return Math.min(size, out.length);
}

function addProtection(u: Union, node: number, command: number): void {
  words[0] = (words[0] as number) | flagsOf(command, u.table.protection(node));
}

/** Sets attributes of a file or directory, copied up first: 0, PARK, or -errno. */
export function setFlags(u: Union, node: number, command: number, data: Uint8Array, setter: Setter): number {
  if (command !== FS_IOC_SETFLAGS && command !== FS_IOC_FSSETXATTR) return -ENOTTY;
  const get = command === FS_IOC_SETFLAGS ? FS_IOC_GETFLAGS : FS_IOC_FSGETXATTR;
  wanted.fill(0);
  wanted.set(data.subarray(0, wanted.length));
  let r = u.checkWritable();
  if (r === 0 && setter.uid >= 0) {
    r = statNode(u, node);
    if (r === 0 && u.stat.uid !== setter.uid) r = -EPERM;
  }
  if (r === 0) r = call(u, node, get, argument);
  if (r < 0) return r;
  const real = words[0] as number;
  addProtection(u, node, get);
  const before = u.table.protection(node);
  const after = protectionIn(command, wantedWords[0] as number);
  if (before !== after && !setter.mayProtect) return -EPERM;
  const isOther = differs(flagsOf(command, before), flagsOf(command, after));
  // As on ext4: nothing else of an immutable file changes with the same call.
  if ((before & after & IMMUTABLE) !== 0 && isOther) return -EPERM;
  r = copyUp(u, node);
  // Synchronous writes from now on would not be told of.
  if (r === 0) r = settle(u, node);
  if (r < 0) return r;
  const forbidding = flagsOf(command, PROTECTED);
  wantedWords[0] = (wantedWords[0] as number) & ~forbidding;
  // The inode itself may carry them, from a time when the upper was no part of a union.
  if (isOther || (real & forbidding) !== 0) r = call(u, node, command, wanted);
  return r < 0 || before === after ? r : protect(u, node, after);
}

function protectionIn(command: number, flags: number): number {
  return (
    ((flags & flagsOf(command, IMMUTABLE)) !== 0 ? IMMUTABLE : 0) |
    ((flags & flagsOf(command, APPEND_ONLY)) !== 0 ? APPEND_ONLY : 0)
  );
}

/** Whether `wanted` says otherwise than `argument` about anything but protection, which is `before` and `after` in it. */
function differs(before: number, after: number): boolean {
  if (((words[0] as number) & ~before) !== ((wantedWords[0] as number) & ~after)) return true;
  // Extent sizes and project; the number of extents between them is only read.
  return words[1] !== wantedWords[1] || words[3] !== wantedWords[3] || words[4] !== wantedWords[4];
}

/** Stores what is forbidden from now on for a node that lies in the upper: 0 or -errno. */
function protect(u: Union, node: number, bits: number): number {
  const { table } = u;
  let r = 0;
  // Only objects in such directories are asked for marks.
  if (!table.isNameless(node)) for (const { parent } of table.namesOf(node)) r = Math.min(r, setImpure(u, parent));
  if (r === 0) r = locate(u, node);
  if (r === 0) r = storeProtattr(u, u.atFd, u.atName, bits);
  if (r === 0) table.setProtection(node, bits);
  return r;
}

function call(u: Union, node: number, command: number, data: Uint8Array): number {
  const r = locate(u, node);
  if (r < 0) return r;
  const type = u.table.type(node);
  if (type !== DT_DIR && type !== DT_REG) return -ENOTTY;
  const flags = O_RDONLY | O_NONBLOCK | (type === DT_DIR ? O_DIRECTORY : 0);
  const fd = u.atName === "" ? native.reopen(u.atFd, flags) : native.open(u.atFd, u.atName, flags, 0);
  if (fd < 0) return fd;
  if (data === argument) argument.fill(0);
  const result = native.ioctl(fd, command, data);
  ignore(native.close(fd), "only an ioctl was made through it");
  return Math.min(result, 0);
}
