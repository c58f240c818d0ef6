import { outHeaderSize } from "./constants.js";

const two32 = 4294967296;
const entrySize = 128;
const direntHeader = 24;

/** dev_t as the kernel packs it into 32 bits (new_encode_dev): 12 bits of major, 20 of minor. */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export function deviceMajor(device: number): number {
  return (device >>> 8) & 0xfff;
}

export function deviceMinor(device: number): number {
  return (device & 0xff) | ((device >>> 12) & 0xfff00);
}

/** How long the kernel may trust what an answer says: whole seconds (up to 2^53) and nanoseconds. */
export interface Validity {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export function validity(seconds: number): Validity {
  const whole = Math.floor(seconds);
  return { seconds: whole, nanoseconds: Math.round((seconds - whole) * 1e9) % 1e9 };
}

/**
 * A reusable writer of one answer: struct fuse_out_header, then what the methods append. Attributes come as the words of
 * a struct statx (word index = offset / 4) and are copied half by half: inode numbers and sizes keep all their 64 bits.
 */
export class Reply {
  readonly bytes: Buffer;
  private readonly words: Uint32Array;
  private readonly validSeconds: number;
  private readonly validSecondsHigh: number;
  private readonly validNanoseconds: number;
  /** Whether the kernel may trust the attributes that follow as long as it may trust names; otherwise it asks each time. */
  trusted = true;
  /** Bytes of the answer so far, header included. */
  length = outHeaderSize;

  constructor(capacity: number, valid: Validity) {
    this.bytes = Buffer.from(new ArrayBuffer((outHeaderSize + capacity + 7) & ~7));
    this.words = new Uint32Array(this.bytes.buffer);
    this.validSeconds = valid.seconds % two32;
    this.validSecondsHigh = Math.floor(valid.seconds / two32);
    this.validNanoseconds = valid.nanoseconds;
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.bytes.length - this.length;
  }

  /** Starts a new answer, empty but for the header. */
  begin(): void {
    this.length = outHeaderSize;
    this.trusted = true;
  }

  /** Completes the header of an answer without error; returns its length. */
  finish(uniqueLow: number, uniqueHigh: number): number {
    return this.header(0, uniqueLow, uniqueHigh);
  }

  /** Turns the answer into an error, `error` being -errno; returns its length. */
  fail(error: number, uniqueLow: number, uniqueHigh: number): number {
    this.length = outHeaderSize;
    return this.header(error, uniqueLow, uniqueHigh);
  }

  private header(error: number, uniqueLow: number, uniqueHigh: number): number {
    const words = this.words;
    words[0] = this.length;
    words[1] = error;
    words[2] = uniqueLow;
    words[3] = uniqueHigh;
    return this.length;
  }

  u32(value: number): void {
    this.words[this.length >>> 2] = value;
    this.length += 4;
  }

  /** A number from 0 to 2^53. */
  u64(value: number): void {
    const word = this.length >>> 2;
    // The array keeps of a number what 32 bits have room for.
    this.words[word] = value;
    this.words[word + 1] = value / two32;
    this.length += 8;
  }

  /** Where `length` bytes of data may be put by somebody else, who then calls `advance`. */
  area(length: number): Uint8Array {
    return this.bytes.subarray(this.length, this.length + length);
  }

  /** Counts bytes that were put at the end of the answer. */
  advance(length: number): void {
    this.length += length;
  }

  data(bytes: Uint8Array, length: number): void {
    this.bytes.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.length);
    this.length += length;
  }

  /** struct fuse_attr from the words of a struct statx. */
  private attr(statx: Uint32Array): void {
    const words = this.words;
    let at = this.length >>> 2;
    words[at++] = statx[8] as number; // ino
    words[at++] = statx[9] as number;
    words[at++] = statx[10] as number; // size
    words[at++] = statx[11] as number;
    words[at++] = statx[12] as number; // blocks of 512 bytes
    words[at++] = statx[13] as number;
    words[at++] = statx[16] as number; // seconds, signed: atime, mtime, ctime
    words[at++] = statx[17] as number;
    words[at++] = statx[28] as number;
    words[at++] = statx[29] as number;
    words[at++] = statx[24] as number;
    words[at++] = statx[25] as number;
    words[at++] = statx[18] as number; // nanoseconds
    words[at++] = statx[30] as number;
    words[at++] = statx[26] as number;
    words[at++] = (statx[7] as number) & 0xffff; // mode
    words[at++] = statx[4] as number; // nlink
    words[at++] = statx[5] as number; // uid
    words[at++] = statx[6] as number; // gid
    words[at++] = encodeDevice(statx[32] as number, statx[33] as number);
    words[at++] = statx[1] as number; // blksize
    words[at++] = 0; // flags
    this.length = at << 2;
  }

  /** struct fuse_entry_out. */
  entry(nodeid: number, generation: number, statx: Uint32Array): void {
    this.u64(nodeid);
    this.u64(generation);
    const words = this.words;
    const at = this.length >>> 2;
    words[at] = this.validSeconds;
    words[at + 1] = this.validSecondsHigh;
    words[at + 2] = this.trusted ? this.validSeconds : 0;
    words[at + 3] = this.trusted ? this.validSecondsHigh : 0;
    words[at + 4] = this.validNanoseconds;
    words[at + 5] = this.trusted ? this.validNanoseconds : 0;
    this.length += 24;
    this.attr(statx);
  }

  /** struct fuse_entry_out for a name that is not there, which the kernel may remember (nodeid 0). */
  negativeEntry(): void {
    const at = this.length >>> 2;
    this.words.fill(0, at, at + entrySize / 4);
    this.words[at + 4] = this.validSeconds;
    this.words[at + 5] = this.validSecondsHigh;
    this.words[at + 8] = this.validNanoseconds;
    this.length += entrySize;
  }

  private attributeValidity(at: number): void {
    const words = this.words;
    words[at] = this.trusted ? this.validSeconds : 0;
    words[at + 1] = this.trusted ? this.validSecondsHigh : 0;
    words[at + 2] = this.trusted ? this.validNanoseconds : 0;
  }

  /** struct fuse_attr_out. */
  attrOut(statx: Uint32Array): void {
    const words = this.words;
    const at = this.length >>> 2;
    this.attributeValidity(at);
    words[at + 3] = 0;
    this.length += 16;
    this.attr(statx);
  }

  /** struct fuse_statx_out: the first 144 bytes are those of struct statx, the rest (mount id and later) is zero. */
  statxOut(statx: Uint32Array): void {
    const words = this.words;
    const at = this.length >>> 2;
    words.fill(0, at, at + 72);
    this.attributeValidity(at);
    for (let word = 0; word < 36; word++) words[at + 8 + word] = statx[word] as number;
    words[at + 8 + 7] = (statx[7] as number) & 0xffff;
    this.length += 288;
  }

  /** struct fuse_open_out; `backing` goes with FOPEN_PASSTHROUGH. */
  open(handle: number, flags: number, backing = 0): void {
    this.u64(handle);
    this.u32(flags);
    this.u32(backing);
  }

  /** struct fuse_write_out. */
  written(size: number): void {
    this.u32(size);
    this.u32(0);
  }

  /** struct fuse_statfs_out from a raw struct statfs (120 bytes, as on x86_64 and aarch64). */
  statfs(raw: Uint8Array): void {
    const from = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    // blocks, bfree, bavail, files, ffree lie side by side in both.
    this.data(raw.subarray(16, 56), 40);
    this.u32(from.getUint32(8, true)); // bsize
    this.u32(from.getUint32(64, true)); // namelen
    this.u32(from.getUint32(72, true)); // frsize
    for (let word = 0; word < 7; word++) this.u32(0);
  }

  /** struct fuse_getxattr_out: the length of a value that was only asked for. */
  xattrSize(size: number): void {
    this.u32(size);
    this.u32(0);
  }

  /** struct fuse_lseek_out. */
  offset(offset: number): void {
    this.u64(offset);
  }

  /** struct fuse_ioctl_out; its data follow. */
  ioctl(result: number): void {
    this.u32(result);
    this.u32(0);
    this.u32(0);
    this.u32(0);
  }

  /** Whether an entry with a name of `nameLength` bytes still fits into an answer of at most `limit` bytes in all. */
  direntFits(nameLength: number, plus: boolean, limit: number): boolean {
    const size = ((plus ? entrySize : 0) + direntHeader + nameLength + 7) & ~7;
    return this.length + size <= limit;
  }

  /** struct fuse_dirent. `next` is the offset at which the following entry is asked for. */
  dirent(name: string, type: number, inoLow: number, inoHigh: number, next: number): void {
    const words = this.words;
    const at = this.length >>> 2;
    words[at] = inoLow;
    words[at + 1] = inoHigh;
    words[at + 2] = next;
    words[at + 3] = next / two32;
    words[at + 4] = name.length;
    words[at + 5] = type;
    this.length += direntHeader;
    this.paddedName(name);
  }

  /** struct fuse_direntplus: an entry the kernel takes as a LOOKUP's answer, then the dirent. */
  direntPlus(
    name: string,
    type: number,
    inoLow: number,
    inoHigh: number,
    next: number,
    nodeid: number,
    generation: number,
    statx: Uint32Array,
  ): void {
    if (nodeid === 0) {
      // No node: the kernel takes the name and the type only.
      const at = this.length >>> 2;
      this.words.fill(0, at, at + entrySize / 4);
      this.length += entrySize;
    } else this.entry(nodeid, generation, statx);
    this.dirent(name, type, inoLow, inoHigh, next);
  }

  private paddedName(name: string): void {
    const end = this.length + name.length;
    // A short name is stored faster byte by byte than by a call into the runtime.
    if (name.length < 24) for (let i = 0; i < name.length; i++) this.bytes[this.length + i] = name.charCodeAt(i);
    else this.bytes.latin1Write(name, this.length);
    const padded = (end + 7) & ~7;
    for (let at = end; at < padded; at++) this.bytes[at] = 0;
    this.length = padded;
  }
}
