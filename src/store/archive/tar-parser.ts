/** Reads a tar archive that comes in pieces, without a copy of what is in files. */
import { StoreError } from "../error.js";
import { aclOfText } from "./acl-text.js";
import {
  BLOCK,
  decodeHeader,
  decodePax,
  FIFO,
  GNU_LONG_LINK,
  GNU_LONG_NAME,
  GNU_SPARSE,
  LINK,
  PAX,
  PAX_GLOBAL,
  parsePaxTime,
  type TarEntry,
} from "./tar-header.js";

/** Who takes what is in the archive. What it throws ends the reading. */
export interface TarHandler {
  /** A new entry. True: its content is kept in a file, and comes by `content`; false: it counts as `raw`. */
  entry(entry: TarEntry): boolean;
  content(chunk: Buffer, start: number, length: number): void;
  /** The content of the entry is complete; only after `entry` said true. */
  entryEnd(): void;
  /** Every byte of the archive that is not passed to `content`, in order. */
  raw(chunk: Buffer, start: number, length: number): void;
}

/**
 * What describes the next entry, however many headers say it, is held in memory, and so is what holds for all entries: real ones have some
 * hundred bytes, an attribute at most 64 KiB.
 */
const longestHeader = 16 * 1024 * 1024;

type State = "header" | "description" | "content" | "skipped" | "padding" | "end";

export class TarParser {
  private state: State = "header";
  /** Of the header that came in two pieces. */
  private readonly carry = Buffer.alloc(BLOCK);
  private carried = 0;
  /** Bytes of content, or of padding, that are to come. */
  private left = 0;
  private pad = 0;
  private description: Buffer[] = [];
  private describes = "";
  /** Bytes of the headers that describe the next entry, and of those that hold for all. */
  private ofEntry = 0;
  private ofAll = 0;
  private readonly globals = new Map<string, string>();
  private pax: Map<string, string> | undefined;
  private longName: string | undefined;
  private longLink: string | undefined;
  private zeroBlocks = 0;

  constructor(private readonly handler: TarHandler) {}

  /** Takes the next bytes of the archive; they are used no more when this returns. Throws StoreError for what is no archive. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      switch (this.state) {
        case "header":
          at += this.readHeader(chunk, at);
          break;
        case "end":
          this.handler.raw(chunk, at, chunk.length - at);
          return;
        default:
          at += this.readBody(chunk, at);
      }
    }
  }

  /** The archive ends here. Throws StoreError if it should not. */
  end(): void {
    // Two blocks of zeros should end it; some writers leave them out.
    if (this.state === "end" || (this.state === "header" && this.carried === 0 && !this.hasDescription)) return;
    throw new StoreError("the tar archive is cut off");
  }

  /** Whether the end that archives have has been read. */
  get ended(): boolean {
    return this.state === "end";
  }

  /** For who can go on elsewhere: the number of bytes that come now and that nobody wants, which are then taken as read. */
  skip(): number {
    if (this.state !== "skipped" && this.state !== "padding") return 0;
    const length = this.left + this.pad;
    this.left = 0;
    this.pad = 0;
    this.state = "header";
    return length;
  }

  private get hasDescription(): boolean {
    return this.pax !== undefined || this.longName !== undefined || this.longLink !== undefined;
  }

  private readHeader(chunk: Buffer, at: number): number {
    if (this.carried === 0 && chunk.length - at >= BLOCK) {
      this.handler.raw(chunk, at, BLOCK);
      this.take(decodeHeader(chunk, at));
      return BLOCK;
    }
    const length = Math.min(BLOCK - this.carried, chunk.length - at);
    chunk.copy(this.carry, this.carried, at, at + length);
    this.carried += length;
    if (this.carried === BLOCK) {
      this.carried = 0;
      this.handler.raw(this.carry, 0, BLOCK);
      this.take(decodeHeader(this.carry, 0));
    }
    return length;
  }

  private take(header: TarEntry | undefined): void {
    if (header === undefined) {
      this.zeroBlocks++;
      if (this.zeroBlocks === 2) this.state = "end";
      return;
    }
    this.zeroBlocks = 0;
    switch (header.type) {
      case PAX:
      case PAX_GLOBAL:
      case GNU_LONG_NAME:
      case GNU_LONG_LINK:
        if (header.type === PAX_GLOBAL) this.ofAll += header.size;
        else this.ofEntry += header.size;
        if (this.ofAll > longestHeader || this.ofEntry > longestHeader)
          throw new StoreError("the tar archive is damaged: a pax header is too long");
        this.describes = header.type;
        this.body(header.size, "description");
        if (header.size === 0) this.describe();
        return;
    }
    this.entry(header);
  }

  private body(size: number, state: State): void {
    if (size < 0) throw new StoreError("the tar archive is damaged: a size is negative");
    this.left = size;
    this.pad = (BLOCK - (size % BLOCK)) % BLOCK;
    this.state = size === 0 ? "header" : state;
  }

  private entry(entry: TarEntry): void {
    if (this.globals.size > 0) apply(this.globals, entry);
    if (this.longName !== undefined) entry.path = this.longName;
    if (this.longLink !== undefined) entry.linkPath = this.longLink;
    if (this.pax !== undefined) apply(this.pax, entry);
    if (entry.type === GNU_SPARSE || this.pax?.has("GNU.sparse.major") || this.pax?.has("GNU.sparse.size")) {
      throw new StoreError(
        `${JSON.stringify(entry.path)} is stored as a sparse file, which cowfs does not read: make the archive without --sparse`,
      );
    }
    this.pax = undefined;
    this.longName = undefined;
    this.longLink = undefined;
    this.ofEntry = 0;
    // Links, devices, directories have no content, though some writers give the size of what a link leads to.
    const size = entry.type >= LINK && entry.type <= FIFO ? 0 : entry.size;
    const wanted = this.handler.entry(entry);
    this.body(size, wanted ? "content" : "skipped");
    if (wanted && size === 0) this.handler.entryEnd();
  }

  private readBody(chunk: Buffer, at: number): number {
    if (this.state === "padding") {
      const length = Math.min(this.pad, chunk.length - at);
      this.handler.raw(chunk, at, length);
      this.pad -= length;
      if (this.pad === 0) this.state = "header";
      return length;
    }
    const length = Math.min(this.left, chunk.length - at);
    this.left -= length;
    const state = this.state;
    if (state === "content") this.handler.content(chunk, at, length);
    else this.handler.raw(chunk, at, length);
    if (state === "description") this.description.push(Buffer.from(chunk.subarray(at, at + length)));
    if (this.left > 0) return length;
    this.state = this.pad > 0 ? "padding" : "header";
    if (state === "content") this.handler.entryEnd();
    if (state === "description") this.describe();
    return length;
  }

  private describe(): void {
    const bytes = this.description.length === 1 ? (this.description[0] as Buffer) : Buffer.concat(this.description);
    this.description = [];
    if (this.describes === PAX) {
      this.pax ??= new Map();
      decodePax(bytes, this.pax);
    } else if (this.describes === PAX_GLOBAL) decodePax(bytes, this.globals);
    else {
      const end = bytes.indexOf(0);
      const name = bytes.latin1Slice(0, end < 0 ? bytes.length : end);
      if (this.describes === GNU_LONG_NAME) this.longName = name;
      else this.longLink = name;
    }
  }
}

const xattrPrefix = "SCHILY.xattr.";

/** What pax records say about an entry. */
function apply(records: ReadonlyMap<string, string>, entry: TarEntry): void {
  for (const [key, value] of records) {
    switch (key) {
      case "path":
        entry.path = value;
        break;
      case "linkpath":
        entry.linkPath = value;
        break;
      case "size":
      case "uid":
      case "gid": {
        const number = Number(value);
        if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) {
          throw new StoreError(`the tar archive is damaged: ${key} of ${JSON.stringify(entry.path)} is no number`);
        }
        entry[key] = number;
        break;
      }
      case "mtime": {
        const time = parsePaxTime(value);
        if (time === undefined) {
          throw new StoreError(`the tar archive is damaged: the time of ${JSON.stringify(entry.path)} is no number`);
        }
        [entry.mtime, entry.mtimeNsec] = time;
        break;
      }
      case "SCHILY.acl.access":
      case "SCHILY.acl.default": {
        const acl = aclOfText(value);
        if (acl === undefined) entry.lostAcl = value;
        else {
          entry.xattrs ??= new Map();
          entry.xattrs.set(key.endsWith("access") ? "system.posix_acl_access" : "system.posix_acl_default", acl);
        }
        break;
      }
      default:
        if (key.startsWith(xattrPrefix)) {
          entry.xattrs ??= new Map();
          entry.xattrs.set(key.slice(xattrPrefix.length), value);
        }
    }
  }
}
