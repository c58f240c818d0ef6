/**
 * What is left of a layer's archive when the content of its files is taken out: every other byte, and where which file belongs. With the
 * tree it gives the archive again, byte for byte, so that a layer can leave with the digest it came with.
 *
 * On disk (`layers/HEX/archive.gz`, compressed by gzip): bytes and files take turns, beginning and ending with bytes. Bytes are a length of
 * 4 bytes, little-endian, and as many bytes. A file is the length of its path in the tree (4 bytes), the path, and the length of its content (8 bytes);
 * a path's length of 0xffffffff is the end. A file that a later entry of the archive replaced is not in the tree but in `replaced/N`, where N counts the files from 0.
 */
import { StoreError } from "../error.js";

const endMark = 0xffffffff;

export class SkeletonWriter {
  private raw: Buffer = Buffer.alloc(64 * 1024);
  private rawLength = 0;
  private ready: Buffer[] = [];
  private count = 0;

  bytes(chunk: Buffer, start: number, length: number): void {
    if (this.rawLength + length > this.raw.length) {
      const larger = Buffer.alloc(Math.max(2 * this.raw.length, this.rawLength + length));
      this.raw.copy(larger, 0, 0, this.rawLength);
      this.raw = larger;
    }
    chunk.copy(this.raw, this.rawLength, start, start + length);
    this.rawLength += length;
  }

  /** A file of the tree comes here; the result is its number. */
  file(path: string, size: number): number {
    this.flush();
    const tail = Buffer.alloc(4 + path.length + 8);
    tail.writeUInt32LE(path.length, 0);
    tail.latin1Write(path, 4);
    tail.writeDoubleLE(size, 4 + path.length);
    this.ready.push(tail);
    return this.count++;
  }

  end(): void {
    this.flush();
    const mark = Buffer.alloc(4);
    mark.writeUInt32LE(endMark, 0);
    this.ready.push(mark);
  }

  /** What is complete by now, to be written. */
  take(): Buffer[] {
    const { ready } = this;
    this.ready = [];
    return ready;
  }

  private flush(): void {
    const piece = Buffer.allocUnsafe(4 + this.rawLength);
    piece.writeUInt32LE(this.rawLength, 0);
    this.raw.copy(piece, 4, 0, this.rawLength);
    this.ready.push(piece);
    this.rawLength = 0;
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
  for (let number = 0; ; number++) {
    const length = (await need(4)).readUInt32LE(0);
    if (length > 0) yield await need(length);
    const pathLength = (await need(4)).readUInt32LE(0);
    if (pathLength === endMark) return;
    const path = (await need(pathLength)).latin1Slice();
    yield { path, size: (await need(8)).readDoubleLE(0), number };
  }
}
