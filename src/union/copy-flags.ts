/** The flags of chattr(1) that a copy takes along from the object it is made of. */
import { ENOSYS, ENOTTY, EOPNOTSUPP, ignore } from "../errno.js";
import { S_IFDIR, S_IFREG, type Stat } from "../layer/stat.js";
import { FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, O_DIRECTORY, O_NONBLOCK, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { PROTECTED } from "./node-table.js";
import { storeProtattr } from "./protection.js";
import type { Union } from "./union.js";

/** Synchronous, not dumped, without access times, a synchronous directory: what has a meaning on every file system. */
const COPIED = 0x8 | 0x40 | 0x80 | 0x10000;

/** FS_XFLAG_*: immutable, append-only, synchronous, without access times, not dumped. All that a regular file may take along. */
const ANY_OF_FILE = 0x8 | 0x10 | 0x20 | 0x40 | 0x80;
/** Whether the kernel has file_getattr(2). */
let asksByName = true;

const words = new Uint32Array(2);
const flags = new Uint8Array(words.buffer);

/**
 * Gives the copy (toFd, toName) of the lower object (fromFd, fromName), which `stat` describes, its flags: 0 or -errno. What forbids
 * changes must go along; the others do where both file systems know them. One system call for a file without any, three for a directory
 * and before Linux 6.17.
 */
export function copyFlags(
  u: Union,
  fromFd: number,
  fromName: string,
  stat: Stat,
  toFd: number,
  toName: string,
): number {
  if (stat.type !== S_IFREG && stat.type !== S_IFDIR) return 0;
  if (asksByName && stat.type === S_IFREG) {
    const known = native.xflags(fromFd, fromName);
    if (known >= 0 && (known & ANY_OF_FILE) === 0) return 0;
    if (known === -ENOSYS) asksByName = false;
  }
  const r = flagsCall(fromFd, fromName, stat, FS_IOC_GETFLAGS);
  // A file system without flags may call everything immutable (protection.ts); any other failure must not lose one.
  if (r < 0 && r !== -ENOTTY && r !== -EOPNOTSUPP && (stat.attributesLow & PROTECTED) !== 0) return r;
  const copied = r < 0 ? 0 : (words[0] as number) & COPIED;
  const bits = r < 0 ? 0 : (words[0] as number) & PROTECTED;
  if (copied !== 0 && flagsCall(toFd, toName, stat, FS_IOC_GETFLAGS) === 0) {
    words[0] = (words[0] as number) | copied;
    ignore(flagsCall(toFd, toName, stat, FS_IOC_SETFLAGS), "the upper's file system does not know them");
  }
  return bits === 0 ? 0 : storeProtattr(u, toFd, toName, bits);
}

function flagsCall(dirfd: number, name: string, stat: Stat, command: number): number {
  const how = O_RDONLY | O_NONBLOCK | (stat.isDirectory ? O_DIRECTORY : 0);
  const fd = name === "" ? native.reopen(dirfd, how) : native.open(dirfd, name, how, 0);
  if (fd < 0) return fd;
  if (command === FS_IOC_GETFLAGS) words.fill(0);
  const r = native.ioctl(fd, command, flags);
  ignore(native.close(fd), "only an ioctl was made through it");
  return r;
}
