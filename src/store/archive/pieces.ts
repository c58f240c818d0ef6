/** Pieces of memory of one size, in which what is read of an archive comes, and which are used again and again. */
import { createHash } from "node:crypto";
import { pauses } from "../interruption.js";

/** Who takes the pieces. */
export interface PieceSink {
  /** An empty piece of `pieceSize` bytes; a promise of one while too many are under way. */
  take(): Buffer | Promise<Buffer>;
  /** The first `length` bytes of a piece that `take` gave are content. It may not be written to before the next call of `take`. */
  send(piece: Buffer, length: number): void;
  /** `read` bytes of the source have been read. */
  progress(read: number): void;
}

export const pieceSize = 1024 * 1024;

/** What was read, digests as `sha256:HEX`. */
export interface ReadArchive {
  /** Of the uncompressed archive. */
  readonly diffId: string;
  readonly archiveSize: number;
  /** Of the source as it is; the diff ID if that is not compressed. */
  readonly blobDigest: string;
}

/** Fills pieces with an archive, and takes its digest. */
export class PieceFiller {
  private readonly digest = createHash("sha256");
  private piece: Buffer | undefined;
  private filled = 0;
  private size = 0;
  private readonly pause = pauses();

  constructor(private readonly sink: PieceSink) {}

  /** The piece that is being filled, from `used` on. It has room. The promise throws StoreError for an interruption. */
  current(): Buffer | Promise<Buffer> {
    if (this.piece !== undefined) return this.piece;
    const pause = this.pause();
    const taken = pause === undefined ? this.sink.take() : pause.then(() => this.sink.take());
    return taken instanceof Promise ? taken.then((piece) => this.begin(piece)) : this.begin(taken);
  }

  get used(): number {
    return this.filled;
  }

  /** So many bytes more have been put into the piece. */
  add(count: number): void {
    this.filled += count;
    if (this.filled === this.piece?.length) this.send(this.piece);
  }

  /** The archive has ended. `blobDigest` is that of its source, if that is compressed. */
  finish(blobDigest?: string): ReadArchive {
    if (this.piece !== undefined && this.filled > 0) this.send(this.piece);
    const diffId = `sha256:${this.digest.digest("hex")}`;
    return { diffId, archiveSize: this.size, blobDigest: blobDigest ?? diffId };
  }

  private begin(piece: Buffer): Buffer {
    this.piece = piece;
    return piece;
  }

  /** The other side may work on it while its digest is taken: nobody writes to it before this side takes it again. */
  private send(piece: Buffer): void {
    this.sink.send(piece, this.filled);
    this.digest.update(piece.subarray(0, this.filled));
    this.size += this.filled;
    this.piece = undefined;
    this.filled = 0;
  }
}
