/** A regular file of a layer that is being made, as its content comes. */
import { ENOSPC, ignore } from "../../errno.js";
import { O_CREAT, O_EXCL, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { type AttributeWriter, failed } from "./attribute-writer.js";
import { type Hashes, hex64 } from "./quick-manifest.js";
import type { TarEntry } from "./tar-header.js";

/** Calls `make`, which makes the file and says -EEXIST if something is there, until that is out of the way. Throws StoreError. */
export type Create = (make: () => number) => number;

/** What all files of a layer have in common. */
export interface FileTools {
  readonly hashes: Hashes;
  readonly attributes: AttributeWriter;
  /** Bits that the process takes out of the mode of what it makes. */
  readonly umask: number;
}

/** Pieces from this size on go to the disk at once. Smaller ones wait for the sync: they would be more requests than the disk gains time. */
const worthWriteback = 128 * 1024;

/** XXH64 of nothing. */
const emptyHash = 0xef46db3751d8e999n;

/** What a hole reads as. */
const zeros = Buffer.alloc(64 * 1024);

export class NewFile {
  /** -1 while it is not open: it may be made by a single call when all of its content is there. */
  private fd = -1;
  private isDone = false;
  /** Unless the content comes in one piece. */
  private stream: ReturnType<Hashes["create64"]> | undefined;
  private hash = emptyHash;
  private written = 0;

  constructor(
    private readonly place: { readonly fd: number; readonly name: string; readonly path: string },
    readonly entry: TarEntry,
    private readonly create: Create,
    private readonly tools: FileTools,
  ) {}

  get path(): string {
    return this.place.path;
  }

  /** The next bytes of the content. Throws StoreError. */
  content(chunk: Buffer, start: number, length: number): void {
    const isWhole = length === this.entry.size;
    if (isWhole && length < worthWriteback && this.isPlain()) this.makeWhole(chunk, start, length);
    else this.write(chunk, start, length, this.written);
    if (length >= worthWriteback) {
      ignore(native.startWriteback(this.fd, this.written, length), "the sync at the end tells what cannot be written");
    }
    this.written += length;
    const piece = chunk.subarray(start, start + length);
    if (isWhole) this.hash = this.tools.hashes.h64Raw(piece);
    else {
      this.stream ??= this.tools.hashes.create64();
      this.stream.update(piece);
    }
  }

  /** Content of a sparse file, which belongs at `offset`. Throws StoreError. */
  sparse(chunk: Buffer, start: number, length: number, offset: number): void {
    this.hole(offset);
    this.write(chunk, start, length, offset);
    this.stream?.update(chunk.subarray(start, start + length));
    this.written += length;
  }

  /** The content is complete: what is left is done. The hashes are those of the manifest. Throws StoreError. */
  end(): { readonly content: string; readonly attributes: string } {
    const { entry, path } = this;
    if (!this.isDone && entry.size === 0 && this.isPlain()) this.makeWhole(zeros, 0, 0);
    let attributes = "-";
    if (!this.isDone) {
      this.open();
      if (entry.sparse) {
        this.hole(entry.size);
        const set = native.truncate(this.fd, entry.size);
        if (set < 0) throw failed("written", path, set);
      }
      attributes = this.tools.attributes.set(this.fd, "", path, entry, this.madeMode());
      const closed = native.close(this.fd);
      this.fd = -1;
      if (closed < 0) throw failed("written", path, closed);
    }
    return { content: hex64(this.stream?.digest() ?? this.hash), attributes };
  }

  /** Closes what is open, after a failure. */
  close(): void {
    if (this.fd >= 0) native.close(this.fd);
    this.fd = -1;
  }

  /** The mode it has when it has been made. */
  private madeMode(): number {
    return this.entry.mode & ~this.tools.umask & 0o777;
  }

  /** There is nothing to be set but the time. */
  private isPlain(): boolean {
    const { entry } = this;
    const { uid, gid } = this.tools.attributes;
    const isOwn = entry.uid === uid && entry.gid === gid;
    return isOwn && entry.mode === this.madeMode() && entry.xattrs === undefined && !entry.sparse;
  }

  private makeWhole(chunk: Buffer, start: number, length: number): void {
    const { entry, place } = this;
    const { mode, mtime, mtimeNsec } = entry;
    this.create(() => native.createFile(place.fd, place.name, mode, chunk, start, length, mtime, mtimeNsec));
    this.isDone = true;
  }

  private open(): void {
    if (this.fd >= 0) return;
    const { fd, name } = this.place;
    const { uid, gid } = this.tools.attributes;
    const flags = O_WRONLY | O_CREAT | O_EXCL;
    this.fd = this.create(() => native.openAs(fd, name, flags, this.entry.mode & 0o777, uid, gid));
  }

  private write(chunk: Buffer, start: number, length: number, offset: number): void {
    this.open();
    const result = native.pwrite(this.fd, chunk, start, length, offset);
    if (result !== length) throw failed("written", this.path, result < 0 ? result : -ENOSPC);
  }

  /** What a sparse file does not have up to `end` reads as zeros. */
  private hole(end: number): void {
    this.stream ??= this.tools.hashes.create64();
    for (; this.written < end; this.written += Math.min(zeros.length, end - this.written)) {
      this.stream.update(zeros.subarray(0, end - this.written));
    }
  }
}
