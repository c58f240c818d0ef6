/** Which parts of a file have blocks: FIEMAP, a few extents at a time. */
import { native } from "../native/index.js";

/** _IOWR('f', 11, struct fiemap): 32 bytes, then 56 for each extent. */
const FS_IOC_FIEMAP = 0xc020660b;
const HEAD = 32;
const EXTENT = 56;
const atOnce = 64;
const fiemap = Buffer.alloc(HEAD + atOnce * EXTENT);
const two32 = 4294967296;

/**
 * Asks for the extents of the open file `fd` between the bytes `from` and `to`: how many of the first there are now, 0 for none, or -errno
 * (EOPNOTSUPP, and ENOTTY of tmpfs: the file system does not tell). The first may begin before `from`, the last end after `to`.
 */
export function readExtents(fd: number, from: number, to: number): number {
  fiemap.fill(0);
  writeNumber(0, from);
  writeNumber(8, to - from);
  fiemap.writeUInt32LE(atOnce, 24);
  const r = native.ioctl(fd, FS_IOC_FIEMAP, fiemap);
  return r < 0 ? r : fiemap.readUInt32LE(20);
}

/** Where the extent `i` of those that were read begins, in bytes. */
export function extentStart(i: number): number {
  return readNumber(HEAD + i * EXTENT);
}

export function extentEnd(i: number): number {
  return extentStart(i) + readNumber(HEAD + i * EXTENT + 16);
}

/** Its FIEMAP_EXTENT_* bits. */
export function extentFlags(i: number): number {
  return fiemap.readUInt32LE(HEAD + i * EXTENT + 40);
}

function writeNumber(at: number, number: number): void {
  fiemap.writeUInt32LE(number % two32, at);
  fiemap.writeUInt32LE(Math.floor(number / two32), at + 4);
}

function readNumber(at: number): number {
  return fiemap.readUInt32LE(at) + fiemap.readUInt32LE(at + 4) * two32;
}
