/** Whether a file system tells after a crash of the machine what it has written: what copies that are not synced (settle.ts) rely on. */
import { readFileSync } from "node:fs";
import { FS_IOC_GETFLAGS } from "../native/constants.js";
import { native } from "../native/index.js";

const EXT4 = 0xef53;
const XFS = 0x58465342;
const BTRFS = 0x9123683e;
/** Survives no crash at all. */
const TMPFS = 0x01021994;

/** Flags of an ext4 inode with extents, or with its data in itself; ext2 and ext3, which have the same number, have neither. */
const EXTENTS = 0x80000 | 0x10000000;

const statfs = Buffer.alloc(120);
const flags = new Uint32Array(2);

/** Whether extents of files are only shown as written when their data is on the disk. `fd`: a directory of the file system, not O_PATH. */
export function tellsWritten(fd: number): boolean {
  if (native.statfs(fd, statfs) < 0) return false;
  const type = statfs.readUInt32LE(0);
  if (type === TMPFS || type === BTRFS) return true;
  // ext4 does so by default since Linux 5.6, xfs since 5.9.
  if (kernel() < 5010) return false;
  if (type === XFS) return true;
  if (type !== EXT4) return false;
  const r = native.ioctl(fd, FS_IOC_GETFLAGS, new Uint8Array(flags.buffer));
  return r >= 0 && ((flags[0] as number) & EXTENTS) !== 0;
}

/** 5010 for Linux 5.10; 0 if it cannot be known. */
function kernel(): number {
  try {
    // The module `os`, which knows it too, would be loaded for nothing else.
    const [major = 0, minor = 0] = readFileSync("/proc/sys/kernel/osrelease", "latin1").split(".").map(Number);
    return major * 1000 + minor;
  } catch {
    return 0;
  }
}
