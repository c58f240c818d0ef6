/** Reads a tar archive that comes in pieces, without a copy of what is in files. */
import { StoreError } from "../error.js";
import { aclOfText } from "./acl-text.js";
import {
  BLOCK,
  DIRECTORY,
  decodeHeader,
  decodePax,
  FIFO,
  FILE,
  GNU_LONG_LINK,
  GNU_LONG_NAME,
  GNU_SPARSE,
  LINK,
  PAX,
  PAX_GLOBAL,
  parsePaxTime,
  type TarEntry,
} from "./tar-header.js";
import { addGnuBlock, MapText, oldGnuMap, type SparseMap, type SparseReader, sparseOfPax } from "./tar-sparse.js";

/** Who takes what is in the archive. What it throws ends the reading. */
export interface TarHandler {
  /** A new entry. True: its content is kept in a file, and comes by `content`; false: it counts as `raw`. */
  entry(entry: TarEntry): boolean;
  content(chunk: Buffer, start: number, length: number): void;
  /**
   * Content of an entry that is `sparse`, in place of `content`: it belongs at `offset`, which never decreases; the rest of the file, up to
   * its size, are zeros. It counts as `raw`, too.
   */
  sparse(chunk: Buffer, start: number, length: number, offset: number): void;
  /** The content of the entry is complete; only after `entry` said true. */
  entryEnd(): void;
  /** Every byte of the archive that is not passed to `content`, in order. They do not change before `push` has returned. */
  raw(chunk: Buffer, start: number, length: number): void;
  /**
   * Entries of which each is complete in one header and its content, from the one at `start` on, for who takes many at a time: how many bytes of the archive
   * those are that it has taken. The others come as ever.
   */
  run?(chunk: Buffer, start: number): number;
}

/**
 * What describes the next entry, however many headers say it, is held in memory, and so is what holds for all entries: real ones have some
 * hundred bytes, an attribute at most 64 KiB.
 */
const longestHeader = 16 * 1024 * 1024;

/** States of whole blocks are `header`, and those in which the map of a sparse file is read: `gnu map` and `map`. */
type State = "header" | "gnu map" | "map" | "description" | "content" | "sparse" | "skipped" | "padding" | "end";

export class TarParser {
  private state: State = "header";
  /** Of the header that came in two pieces. */
  private carry: Buffer = Buffer.alloc(BLOCK);
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
  /** A sparse file whose map is not complete yet, and how to read it. */
  private mapped: { readonly entry: TarEntry; readonly map: SparseMap; readonly text: MapText } | undefined;
  /** Where the content goes that is coming. */
  private reader: SparseReader | undefined;

  constructor(private readonly handler: TarHandler) {}

  /** Takes the next bytes of the archive; they are used no more when this returns. Throws StoreError for what is no archive. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      switch (this.state) {
        case "header":
          at += this.readRun(chunk, at) || this.readBlock(chunk, at);
          break;
        case "gnu map":
        case "map":
          at += this.readBlock(chunk, at);
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
    // Two blocks of zeros should end it; some writers leave them out: see `hasEnd`.
    if (this.state === "end" || (this.state === "header" && this.carried === 0 && !this.hasDescription)) return;
    throw new StoreError("the tar archive is cut off");
  }

  /** Whether a block of zeros was the last thing: without one only a digest can tell an archive from the first part of one. */
  get hasEnd(): boolean {
    return this.zeroBlocks > 0;
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

  /** As many entries as the handler takes at once; only where none before says anything about the next one. */
  private readRun(chunk: Buffer, at: number): number {
    if (this.carried > 0 || this.globals.size > 0 || this.hasDescription) return 0;
    const length = this.handler.run?.(chunk, at) ?? 0;
    if (length > 0) this.zeroBlocks = 0;
    return length;
  }

  private readBlock(chunk: Buffer, at: number): number {
    if (this.carried === 0 && chunk.length - at >= BLOCK) {
      this.handler.raw(chunk, at, BLOCK);
      this.block(chunk, at);
      return BLOCK;
    }
    const length = Math.min(BLOCK - this.carried, chunk.length - at);
    chunk.copy(this.carry, this.carried, at, at + length);
    this.carried += length;
    if (this.carried === BLOCK) {
      this.carried = 0;
      const block = this.carry;
      this.carry = Buffer.alloc(BLOCK);
      this.handler.raw(block, 0, BLOCK);
      this.block(block, 0);
    }
    return length;
  }

  private block(bytes: Buffer, at: number): void {
    if (this.state === "header") {
      const header = decodeHeader(bytes, at);
      if (header?.type === GNU_SPARSE) this.gnuSparse(header, bytes, at);
      else this.take(header);
      return;
    }
    const { entry, map, text } = this.mapped as NonNullable<typeof this.mapped>;
    if (this.state === "gnu map") {
      if (!addGnuBlock(map, bytes, at)) this.begin(entry, map, entry.size);
      return;
    }
    this.left -= BLOCK;
    if (this.left < 0) throw new StoreError("the tar archive is damaged: the map of a sparse file is cut off");
    if (text.push(bytes, at)) this.begin(entry, map, this.left);
  }

  private gnuSparse(header: TarEntry, bytes: Buffer, at: number): void {
    const { map, more } = oldGnuMap(bytes, at, header.path);
    this.zeroBlocks = 0;
    header.type = FILE;
    this.describeEntry(header);
    if (more) this.readMap(header, map, "gnu map");
    else this.begin(header, map, header.size);
  }

  private readMap(entry: TarEntry, map: SparseMap, state: State): void {
    this.mapped = { entry, map, text: new MapText(map) };
    this.left = entry.size;
    this.state = state;
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
    const sparse = this.pax === undefined ? undefined : sparseOfPax(this.pax, this.pax.get("path") ?? entry.path);
    this.describeEntry(entry);
    if (sparse !== undefined && entry.type === FILE) {
      entry.path = sparse.path;
      if (sparse.mapFollows) this.readMap(entry, sparse.map, "map");
      else this.begin(entry, sparse.map, entry.size);
      return;
    }
    // Before POSIX, directories were files whose names end so. The name in the header may be the beginning of a longer one, up to a slash.
    if (entry.type === FILE && entry.path.endsWith("/")) entry.type = DIRECTORY;
    // Links, devices, directories have no content, though some writers give the size of what a link leads to.
    this.begin(entry, undefined, entry.type >= LINK && entry.type <= FIFO ? 0 : entry.size);
  }

  /** Completes an entry by what the headers before it say. */
  private describeEntry(entry: TarEntry): void {
    if (this.globals.size > 0) apply(this.globals, entry);
    if (this.longName !== undefined) entry.path = this.longName;
    if (this.longLink !== undefined) entry.linkPath = this.longLink;
    if (this.pax !== undefined) apply(this.pax, entry);
    this.pax = undefined;
    this.longName = undefined;
    this.longLink = undefined;
    this.ofEntry = 0;
  }

  /** Hands an entry on, whose content, of `stored` bytes, comes now; with a map, it is part of what the file has. */
  private begin(entry: TarEntry, map: SparseMap | undefined, stored: number): void {
    this.mapped = undefined;
    if (map !== undefined) {
      map.check(stored);
      entry.size = map.size;
      entry.sparse = true;
    }
    checkOwner(entry);
    const wanted = this.handler.entry(entry);
    this.reader = map?.reader();
    this.body(stored, !wanted ? "skipped" : map === undefined ? "content" : "sparse");
    if (wanted && stored === 0) this.handler.entryEnd();
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
    if (state === "sparse") this.readSparse(chunk, at, length);
    if (state === "description") this.description.push(Buffer.from(chunk.subarray(at, at + length)));
    if (this.left > 0) return length;
    this.state = this.pad > 0 ? "padding" : "header";
    if (state === "content" || state === "sparse") this.handler.entryEnd();
    if (state === "description") this.describe();
    return length;
  }

  private readSparse(chunk: Buffer, start: number, length: number): void {
    const reader = this.reader as SparseReader;
    for (let at = start; at < start + length; ) {
      const { offset } = reader;
      const taken = reader.take(start + length - at);
      this.handler.sparse(chunk, at, taken, offset);
      at += taken;
    }
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

/** The kernel takes -1 for no change of the owner, and what a system call gets are 32 bits. */
const highestId = 0xfffffffe;

function checkOwner({ path, uid, gid }: TarEntry): void {
  if (uid >= 0 && uid <= highestId && gid >= 0 && gid <= highestId) return;
  throw new StoreError(`${JSON.stringify(path)} in the archive belongs to ${uid}:${gid}, which nobody can be`);
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
