/**
 * What is left of a layer's archive when the content of its files is taken out: every other byte, and where which file belongs. With the
 * tree it gives the archive again, byte for byte, so that a layer can leave with the digest it came with.
 *
 * On disk (`layers/HEX/archive.gz`, compressed by gzip) it is a sequence of pieces, each of which begins with 4 bytes, little-endian. Below 0x80000000 they are a length, and
 * as many bytes of the archive follow. Otherwise, less 0x80000000, they are the length of the path of a file in the tree; the path follows, and the size of the file as a double. 0xffffffff ends it.
 * A file that a later entry of the archive replaced is not in the tree but in `replaced/N`, where N counts the files from 0.
 */
import { StoreError } from "../error.js";

const endMark = 0xffffffff;
const fileMark = 0x80000000;

/** So much is collected before it is handed on. */
const batch = 256 * 1024;

/** Takes the parts of a skeleton; no memory is allocated for one of them. */
export class SkeletonWriter {
  private readonly buffer = Buffer.allocUnsafeSlow(2 * batch);
  private used = 0;
  /** Where the bytes that are being collected begin, behind their length; 0 if there are none. */
  private start = 0;
  private count = 0;

  /** Bytes that have not been copied yet: what comes next often follows them. */
  private source: Buffer = this.buffer;
  private from = 0;
  private to = 0;

  /** `full` gets what is complete, and uses it no more when it returns. */
  constructor(private readonly full: (piece: Buffer) => void) {}

  /** They may not change before `settle`. */
  bytes(chunk: Buffer, from: number, length: number): void {
    if (chunk !== this.source || from !== this.to) {
      this.settle();
      this.source = chunk;
      this.from = from;
    }
    this.to = from + length;
  }

  /** Takes what `bytes` was given. */
  settle(): void {
    const { source, to } = this;
    let at = this.from;
    this.source = this.buffer;
    this.from = 0;
    this.to = 0;
    while (at < to) {
      if (this.start === 0) {
        this.makeRoom(4);
        this.used += 4;
        this.start = this.used;
      }
      const copied = source.copy(this.buffer, this.used, at, Math.min(to, at + batch));
      this.used += copied;
      at += copied;
      if (this.used >= batch) this.flush();
    }
  }

  /** For who puts files there himself, which native code does: the memory, how much of it is used, and where the bytes begin that are being collected. */
  place(): { readonly memory: Buffer; readonly used: number; readonly start: number } {
    this.settle();
    return { memory: this.buffer, used: this.used, start: this.start };
  }

  /** So many files have been put to the place. */
  placed(files: number, used: number, start: number): void {
    this.count += files;
    this.used = used;
    this.start = start;
    if (used >= batch) this.flush();
  }

  /** How many files there are so far. */
  get files(): number {
    return this.count;
  }

  /** A file of the tree comes here; the result is its number. */
  file(path: string, size: number): number {
    this.settle();
    this.endBytes();
    this.makeRoom(4 + path.length + 8);
    this.buffer.writeUInt32LE(fileMark + path.length, this.used);
    this.buffer.latin1Write(path, this.used + 4);
    this.used += 4 + path.length;
    this.buffer.writeDoubleLE(size, this.used);
    this.used += 8;
    return this.count++;
  }

  end(): void {
    this.settle();
    this.endBytes();
    this.makeRoom(4);
    this.buffer.writeUInt32LE(endMark, this.used);
    this.used += 4;
    this.flush();
  }

  private endBytes(): void {
    if (this.start > 0) this.buffer.writeUInt32LE(this.used - this.start, this.start - 4);
    this.start = 0;
  }

  private makeRoom(length: number): void {
    if (this.used + length > this.buffer.length) this.flush();
  }

  private flush(): void {
    this.endBytes();
    if (this.used > 0) this.full(this.buffer.subarray(0, this.used));
    this.used = 0;
  }
}

export interface SkeletonFile {
  readonly path: string;
  readonly size: number;
  readonly number: number;
}

/** Reads a skeleton, uncompressed, piece by piece: bytes of the archive, and files whose content belongs between them. Throws StoreError. */
export async function* readSkeleton(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer | SkeletonFile> {
  let held: Buffer = Buffer.alloc(0);
  const iterator = source[Symbol.asyncIterator]();
  const need = async (length: number): Promise<Buffer> => {
    const pieces = [held];
    let have = held.length;
    while (have < length) {
      const { value, done } = await iterator.next();
      if (done === true) throw new StoreError("what is kept of the layer's archive is cut off");
      pieces.push(value);
      have += value.length;
    }
    const all = pieces.length === 1 ? held : Buffer.concat(pieces);
    held = all.subarray(length);
    return all.subarray(0, length);
  };
  for (let number = 0; ; ) {
    const head = (await need(4)).readUInt32LE(0);
    if (head === endMark) return;
    if (head < fileMark) yield await need(head);
    else {
      const path = (await need(head - fileMark)).latin1Slice();
      yield { path, size: (await need(8)).readDoubleLE(0), number: number++ };
    }
  }
}
