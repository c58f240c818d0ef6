/** A reusable struct statx: the kernel writes it, accessors read it, the codec copies its words. */

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_IXGRP = 0o010;

/** STATX_BASIC_STATS | STATX_BTIME: what an answer to the kernel needs. */
export const STATX_ALL = 0xfff;

const two32 = 4294967296;

/**
 * struct statx of statx(2), 256 bytes. Word accessors (`inoLow`, `inoHigh`) exist where a value may exceed 2^53.
 * Setters change what is shown to the user: the inode number and the link count are the union's, not the layer's.
 */
export class Stat {
  readonly bytes = new Uint8Array(256);
  /** The same memory as 32-bit words: index = byte offset / 4. */
  readonly words = new Uint32Array(this.bytes.buffer);
  private readonly signed = new Int32Array(this.bytes.buffer);

  get mask(): number {
    return this.words[0] as number;
  }
  get blksize(): number {
    return this.words[1] as number;
  }
  /** Of stx_attributes, the bits that chattr(1) sets. */
  get attributesLow(): number {
    return this.words[2] as number;
  }
  get nlink(): number {
    return this.words[4] as number;
  }
  set nlink(value: number) {
    this.words[4] = value;
  }
  get uid(): number {
    return this.words[5] as number;
  }
  set uid(value: number) {
    this.words[5] = value;
  }
  get gid(): number {
    return this.words[6] as number;
  }
  set gid(value: number) {
    this.words[6] = value;
  }
  get mode(): number {
    return (this.words[7] as number) & 0xffff;
  }
  set mode(value: number) {
    this.words[7] = value;
  }
  get inoLow(): number {
    return this.words[8] as number;
  }
  get inoHigh(): number {
    return this.words[9] as number;
  }
  setIno(low: number, high: number): void {
    this.words[8] = low;
    this.words[9] = high;
  }
  get size(): number {
    const high = this.words[11] as number;
    return high === 0 ? (this.words[10] as number) : high * two32 + (this.words[10] as number);
  }
  set size(value: number) {
    this.words[10] = value % two32;
    this.words[11] = Math.floor(value / two32);
  }
  /** Of 512 bytes. */
  set blocks(value: number) {
    this.words[12] = value % two32;
    this.words[13] = Math.floor(value / two32);
  }
  get blocks(): number {
    const high = this.words[13] as number;
    return high === 0 ? (this.words[12] as number) : high * two32 + (this.words[12] as number);
  }
  get atime(): number {
    return (this.signed[17] as number) * two32 + (this.words[16] as number);
  }
  get atimeNsec(): number {
    return this.words[18] as number;
  }
  get btime(): number {
    return (this.signed[21] as number) * two32 + (this.words[20] as number);
  }
  get ctime(): number {
    return (this.signed[25] as number) * two32 + (this.words[24] as number);
  }
  get ctimeNsec(): number {
    return this.words[26] as number;
  }
  /** The words of the change time: seconds (low, high), nanoseconds. */
  get ctimeWords(): Uint32Array {
    return this.words.subarray(24, 27);
  }
  get mtime(): number {
    return (this.signed[29] as number) * two32 + (this.words[28] as number);
  }
  get mtimeNsec(): number {
    return this.words[30] as number;
  }
  get rdevMajor(): number {
    return this.words[32] as number;
  }
  get rdevMinor(): number {
    return this.words[33] as number;
  }
  setRdev(major: number, minor: number): void {
    this.words[32] = major;
    this.words[33] = minor;
  }
  get devMajor(): number {
    return this.words[34] as number;
  }
  get devMinor(): number {
    return this.words[35] as number;
  }
  /** stx_mnt_id, as a number: mount ids are small. */
  get mountId(): number {
    return (this.words[37] as number) * two32 + (this.words[36] as number);
  }

  get type(): number {
    return this.mode & S_IFMT;
  }
  get isDirectory(): boolean {
    return this.type === S_IFDIR;
  }
  get isRegular(): boolean {
    return this.type === S_IFREG;
  }
  get isSymlink(): boolean {
    return this.type === S_IFLNK;
  }
  /** A character device 0:0: overlayfs's whiteout. */
  get isWhiteoutDevice(): boolean {
    return this.type === S_IFCHR && this.words[32] === 0 && this.words[33] === 0;
  }
  /** Access and modification time: seconds (may be negative) and nanoseconds. */
  setTimes(atime: number, atimeNsec: number, mtime: number, mtimeNsec: number): void {
    this.setTime(16, atime, atimeNsec);
    this.setTime(28, mtime, mtimeNsec);
  }
  private setTime(word: number, seconds: number, nsec: number): void {
    this.words[word] = seconds % two32;
    this.words[word + 1] = Math.floor(seconds / two32);
    this.words[word + 2] = nsec;
  }
  /** Takes over what writing to a file changes: size, access and modification time, and if it is the file's own the mode. */
  copyWrittenFrom(other: Stat, mode: boolean): void {
    if (mode) this.mode = other.mode;
    this.size = other.size;
    for (const word of [16, 17, 18, 28, 29, 30]) this.words[word] = other.words[word] as number;
  }
  copyFrom(other: Stat): void {
    this.words.set(other.words);
  }
}
