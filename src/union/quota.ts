/**
 * A limit on what the upper holds, where its file system keeps none: the driver counts. Each regular file and each symbolic link counts with its
 * blocks, each directory with one block whatever it needs and with its long attributes, anything else with nothing: so names can be removed, and whiteouts made, when nothing else can.
 * Before data are written it is asked whether they fit; after whatever changes a file's blocks one fstat(2) says what it has. So
 * nothing may change a file of the upper past the driver: no file is passed through in such a mount.
 */
import { EBADF, ENOSPC, ignore } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { FS_IOC_FSGETXATTR, O_NONBLOCK, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { extentEnd, extentStart, readExtents } from "./extents.js";
import { shownName } from "./xattr-names.js";

/** What a directory counts, but for its attributes. */
const DIRECTORY = 4096;
/** What a file system keeps of an attribute in the inode, at most; more or less of it, it does not matter. */
export const INLINE_VALUE = 256;

const XFS = 0x58465342;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** FALLOC_FL_KEEP_SIZE, _ZERO_RANGE and _WRITE_ZEROES: whatever has any other bit needs no new blocks. */
const ALLOCATES = 0x1 | 0x10 | 0x80;
/** Of struct fsxattr, in xfs: somebody has asked for blocks beyond the end, and they stay. */
const FS_XFLAG_PREALLOC = 0x2;

const fsxattr = Buffer.alloc(28);
const stat = new Stat();
const names = Buffer.alloc(64 * 1024);
const nothing = new Uint8Array(0);
const mapped = { start: 0, end: 0 };

/** A job that is writing. */
interface Writing {
  readonly fd: number;
  readonly reserved: number;
}

export class Quota {
  /** Inode number → what its file counts, or a directory's attributes; those that count nothing are left out. */
  private readonly files = new Map<number, number>();
  private readonly jobs = new Map<number, Writing>();
  private held = 0;
  private reserved = 0;
  private readonly block: number;
  /** The file system gives files blocks beyond their end on its own account, and takes them back: these do not count, those of fallocate(2) do. */
  private readonly trims: boolean;

  /** `limit`: bytes. `statfs`: a struct statfs of the upper. */
  constructor(
    readonly limit: number,
    statfs: Uint8Array,
  ) {
    const view = new DataView(statfs.buffer, statfs.byteOffset, statfs.byteLength);
    this.trims = view.getUint32(0, true) === XFS;
    this.block = Math.max(512, view.getUint32(8, true));
  }

  /** What the upper holds, in bytes. It may be more than the limit. */
  get used(): number {
    return this.held;
  }

  /** Bytes that may still be taken: negative where the limit is exceeded. */
  get room(): number {
    return this.limit - this.held - this.reserved;
  }

  /** Whether so many bytes fit that will have blocks of their own: 0 or -ENOSPC. */
  admitBlocks(bytes: number): number {
    return this.room < this.ceil(bytes) ? -ENOSPC : 0;
  }

  /** Whether one more directory fits: 0 or -ENOSPC. */
  admitDirectory(): number {
    return this.admitBlocks(DIRECTORY);
  }

  /** There are so many more directories (or, negative, fewer). */
  addDirectories(count: number): void {
    this.held += count * DIRECTORY;
  }

  /** How many of the `length` bytes from `offset` on can be written to the open file `fd`, or -ENOSPC for none. Costs nothing but near the limit. */
  admit(fd: number, offset: number, length: number): number {
    const from = this.floor(offset);
    const to = this.ceil(offset + length);
    if (to - from <= this.room || length === 0 || this.grows(fd, to) <= this.room) return length;
    const end = this.reach(fd, from, to, this.room);
    return end >= to ? length : end > offset ? end - offset : -ENOSPC;
  }

  /** What a fallocate(2) in `mode` of the open file `fd` takes, in bytes, to be given to `begin`; or -ENOSPC. */
  forRange(fd: number, mode: number, offset: number, length: number): number {
    if ((mode & ~ALLOCATES) !== 0) return 0;
    const from = this.floor(offset);
    const to = this.ceil(offset + length);
    if (to - from <= this.room) return to - from;
    let needed = 0;
    for (let at = from; at < to && needed <= this.room; at = mapped.end) needed += this.hole(fd, at, to);
    return needed > this.room ? -ENOSPC : needed;
  }

  /**
   * What a write that `admit` has let through takes at most, in bytes, to be given to `begin`. What has its blocks already takes none; where the file
   * system does not say which these are, `admit` went by how many.
   */
  forWrite(fd: number, offset: number, length: number): number {
    const needed = this.forRange(fd, 0, offset, length);
    return needed >= 0 ? needed : Math.max(0, this.grows(fd, this.ceil(offset + length)));
  }

  /** What a copy of the first `length` bytes of the open file `input` takes, in bytes, to be given to `begin`; or -ENOSPC. */
  forCopy(input: number, length: number): number {
    const whole = this.ceil(length);
    if (whole <= this.room) return whole;
    let needed = 0;
    for (let at = 0; at < length && needed <= this.room; at = mapped.end) {
      const data = native.lseek(input, at, SEEK_DATA);
      // ENXIO: the rest is a hole.
      if (data < 0 || data >= length) break;
      const end = native.lseek(input, data, SEEK_HOLE);
      mapped.end = end < 0 ? length : end;
      needed += this.ceil(Math.min(mapped.end, length)) - this.floor(data);
    }
    return needed > this.room ? -ENOSPC : needed;
  }

  /** The job writes to the open file `fd`: until it has ended, `bytes` are set aside. */
  begin(job: number, fd: number, bytes: number): void {
    this.reserved += bytes;
    this.jobs.set(job, { fd: native.dup(fd), reserved: bytes });
  }

  /** A job has ended, perhaps one that writes to no file of the upper. */
  ended(job: number): void {
    const writing = this.jobs.get(job);
    if (writing === undefined) return;
    this.jobs.delete(job);
    this.reserved -= writing.reserved;
    if (writing.fd < 0) return;
    this.measure(writing.fd);
    ignore(native.close(writing.fd), "it was only asked for its blocks");
  }

  /** The blocks of the object (dirfd, name), of any kind, may be others than before. One system call. */
  measure(dirfd: number, name = ""): void {
    if (native.statx(dirfd, name, STATX_ALL, stat.bytes) === 0) this.count(stat, dirfd, name);
  }

  /** The object (dirfd, name) of the upper has the blocks that `found` says. */
  count(found: Stat, dirfd: number, name: string): void {
    if (found.isRegular || found.isSymlink) this.set(found, this.blocksOf(found, dirfd, name));
    else if (found.isDirectory) this.set(found, this.attributesOf(dirfd, name));
  }

  /** What the attributes of a directory count, which its file system need not count as blocks: the long ones, without marks. A system call for each, and one. */
  private attributesOf(dirfd: number, name: string): number {
    const length = native.listxattr(dirfd, name, names);
    let bytes = 0;
    for (let at = 0; at < length; ) {
      const end = names.indexOf(0, at);
      const attribute = names.latin1Slice(at, end);
      at = end + 1;
      if (shownName(attribute) === null) continue;
      const size = native.getxattr(dirfd, name, attribute, nothing);
      if (size > INLINE_VALUE) bytes += this.ceil(size);
    }
    return bytes;
  }

  private blocksOf(found: Stat, dirfd: number, name: string): number {
    const bytes = found.blocks * 512;
    const needed = this.trims ? this.ceil(found.size) : bytes;
    return bytes <= needed || this.keepsMore(dirfd, name) ? bytes : needed;
  }

  /** Whether the blocks that a file has beyond its end are there to stay. One system call for a file that is open. */
  private keepsMore(dirfd: number, name: string): boolean {
    let r = name === "" ? native.ioctl(dirfd, FS_IOC_FSGETXATTR, fsxattr) : -EBADF;
    if (r === -EBADF) {
      const flags = O_RDONLY | O_NONBLOCK;
      const fd = name === "" ? native.reopen(dirfd, flags) : native.open(dirfd, name, flags, 0);
      r = fd < 0 ? fd : native.ioctl(fd, FS_IOC_FSGETXATTR, fsxattr);
      if (fd >= 0) ignore(native.close(fd), "it was only asked for its flags");
    }
    return r >= 0 && (fsxattr.readUInt32LE(0) & FS_XFLAG_PREALLOC) !== 0;
  }

  /**
   * Nobody has the object behind `fd` (-1 for none) open any more, which has lost a name: if it was the last one, its room is free. `isUpper`: it is
   * a directory of the upper, which has but one name.
   */
  gone(fd: number, isUpper = false): void {
    if (fd < 0 || native.statx(fd, "", STATX_ALL, stat.bytes) < 0) return;
    if (stat.isDirectory ? isUpper : stat.nlink === 0) this.set(stat, 0);
  }

  /** Puts the limit in the place of what a struct statfs says of the file system. */
  limitStatfs(statfs: Uint8Array): void {
    const view = new DataView(statfs.buffer, statfs.byteOffset, statfs.byteLength);
    const unit = view.getUint32(72, true) || this.block;
    const free = Math.max(0, Math.floor(this.room / unit));
    const least = (at: number): number => Math.min(readNumber(view, at), free);
    writeNumber(view, 24, least(24));
    writeNumber(view, 32, least(32));
    writeNumber(view, 16, Math.min(Math.floor(this.limit / unit), readNumber(view, 16)));
  }

  private set(found: Stat, bytes: number): void {
    const inode = found.inoLow + found.inoHigh * two32;
    this.held += bytes - (this.files.get(inode) ?? 0);
    if (bytes === 0) this.files.delete(inode);
    else this.files.set(inode, bytes);
  }

  /** How many bytes of new blocks the open file `fd` can take at most if it is written up to `to`. */
  private grows(fd: number, to: number): number {
    if (native.statx(fd, "", STATX_ALL, stat.bytes) < 0) return to;
    return Math.max(to, this.ceil(stat.size)) - this.blocksOf(stat, fd, "");
  }

  /** The end of what can be written from `from` on, up to `to`, if `room` bytes of new blocks may be taken. */
  private reach(fd: number, from: number, to: number, room: number): number {
    let left = Math.max(0, this.floor(room));
    for (let at = from; at < to; at = mapped.end) {
      const hole = this.hole(fd, at, to);
      if (hole > left) return at + left;
      left -= hole;
    }
    return to;
  }

  /**
   * How many bytes from `at` to `to` have no blocks before the first that have some; `mapped` are those, empty at `to` if there
   * are none. Preallocated blocks count as blocks.
   */
  private hole(fd: number, at: number, to: number): number {
    let end = to;
    if (this.trims && !this.keepsMore(fd, "") && native.statx(fd, "", STATX_ALL, stat.bytes) === 0) {
      end = Math.min(to, this.ceil(stat.size));
    }
    mapped.start = to;
    mapped.end = to;
    const count = at < end ? readExtents(fd, at, end) : 0;
    if (count > 0) {
      mapped.start = Math.max(at, extentStart(0));
      mapped.end = Math.min(end, extentEnd(0));
    } else if (count < 0) {
      // tmpfs, whose preallocated pages are holes to lseek(2).
      const data = native.lseek(fd, at, SEEK_DATA);
      const after = data < 0 || data >= end ? -1 : native.lseek(fd, data, SEEK_HOLE);
      if (after >= 0) {
        mapped.start = this.floor(data);
        mapped.end = Math.min(end, this.ceil(after));
      }
    }
    return mapped.start - at;
  }

  private floor(at: number): number {
    return Math.floor(at / this.block) * this.block;
  }

  private ceil(at: number): number {
    return Math.ceil(at / this.block) * this.block;
  }
}

const two32 = 4294967296;

function readNumber(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * two32;
}

function writeNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % two32, true);
  view.setUint32(at + 4, Math.floor(value / two32), true);
}
