/** A regular file of a layer that is being made, as its content comes. */
import { O_CREAT, O_EXCL, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { type AttributeWriter, failed } from "./attribute-writer.js";
import type { FileOrders, Finish, Hashed } from "./file-orders.js";
import { type Hashes, hex64 } from "./quick-manifest.js";
import type { TarEntry } from "./tar-header.js";

/** What all files of a layer have in common. */
export interface FileTools {
  readonly hashes: Hashes;
  readonly attributes: AttributeWriter;
  readonly orders: FileOrders;
}

/** XXH64 of nothing. */
const emptyHash = "ef46db3751d8e999";

/** What a hole reads as. */
const zeros = Buffer.alloc(64 * 1024);

export class NewFile implements Hashed {
  /** -1 while it is not open: it is made by a single order when all of its content is there. */
  private fd = -1;
  private isDone = false;
  /** Unless the content comes in one piece. */
  private stream: ReturnType<Hashes["create64"]> | undefined;
  /** Undefined while it is being taken. */
  private hash: string | undefined = emptyHash;
  private written = 0;

  /** Nothing is at (dirfd, name), and that directory stays open until the orders have been settled. */
  constructor(
    private readonly dirfd: number,
    private readonly name: string,
    readonly path: string,
    readonly entry: TarEntry,
    private readonly tools: FileTools,
    /** Called when everything is known that the manifest says of it, after `end`. */
    private readonly known: (file: NewFile, content: string, attributes: string) => void,
  ) {}

  /** The next bytes of the content. Throws StoreError. */
  content(chunk: Buffer, start: number, length: number): void {
    const { entry, tools } = this;
    if (length === entry.size && entry.xattrs === undefined) {
      if (tools.orders.canHash) this.hash = undefined;
      else this.hash = hex64(tools.hashes.h64Raw(chunk.subarray(start, start + length)));
      this.makeWhole(start, length);
      return;
    }
    this.open();
    tools.orders.write(this.fd, this.path, start, length, this.written);
    this.written += length;
    this.stream ??= tools.hashes.create64();
    this.stream.update(chunk.subarray(start, start + length));
  }

  /** Content of a sparse file, which belongs at `offset`. Throws StoreError. */
  sparse(chunk: Buffer, start: number, length: number, offset: number): void {
    this.hole(offset);
    this.open();
    this.tools.orders.write(this.fd, this.path, start, length, offset);
    this.stream?.update(chunk.subarray(start, start + length));
    this.written += length;
  }

  /** The content is complete: what is left is done. Throws StoreError. */
  end(): void {
    const { entry, path, tools } = this;
    let attributes = "-";
    if (entry.xattrs !== undefined || entry.sparse) attributes = this.endSlowly();
    else if (this.fd >= 0) {
      const { fd } = this;
      this.fd = -1;
      tools.orders.finish(fd, path, entry, this.finish());
    } else if (!this.isDone) this.makeWhole(0, 0);
    const content = this.stream === undefined ? this.hash : hex64(this.stream.digest());
    if (content !== undefined) this.known(this, content, attributes);
  }

  hashed(hash: string): void {
    this.known(this, hash, "-");
  }

  /** Closes what is open, after a failure; orders must have been carried out. */
  close(): void {
    if (this.fd >= 0) native.close(this.fd);
    this.fd = -1;
  }

  private makeWhole(start: number, length: number): void {
    const { dirfd, name, path, entry } = this;
    const hashed = this.hash === undefined ? this : undefined;
    this.tools.orders.make(dirfd, name, path, start, length, entry, this.finish(), hashed);
    this.isDone = true;
  }

  /** What orders do not know. Returns the hash of the attributes. */
  private endSlowly(): string {
    const { entry, path, tools } = this;
    this.open();
    tools.orders.settle();
    if (entry.sparse) {
      this.hole(entry.size);
      const set = native.truncate(this.fd, entry.size);
      if (set < 0) throw failed("written", path, set);
    }
    const attributes = tools.attributes.set(this.fd, "", path, entry, this.madeMode());
    const closed = native.close(this.fd);
    this.fd = -1;
    if (closed < 0) throw failed("written", path, closed);
    return attributes;
  }

  /** The mode it has when it has been made. */
  private madeMode(): number {
    return this.entry.mode & ~this.tools.attributes.umask & 0o777;
  }

  private finish(): Finish {
    const { entry, tools } = this;
    return {
      owner: entry.uid !== tools.attributes.uid || entry.gid !== tools.attributes.gid,
      mode: entry.mode !== this.madeMode(),
    };
  }

  private open(): void {
    if (this.fd >= 0) return;
    const { uid, gid } = this.tools.attributes;
    const flags = O_WRONLY | O_CREAT | O_EXCL;
    this.fd = native.openAs(this.dirfd, this.name, flags, this.entry.mode & 0o777, uid, gid);
    if (this.fd < 0) throw failed("made", this.path, this.fd);
  }

  /** What a sparse file does not have up to `end` reads as zeros. */
  private hole(end: number): void {
    this.stream ??= this.tools.hashes.create64();
    for (; this.written < end; this.written += Math.min(zeros.length, end - this.written)) {
      this.stream.update(zeros.subarray(0, end - this.written));
    }
  }
}
