/** Sparse files in tar archives, in the four ways in which GNU tar writes them: the archive has the content, and a map tells where it lies. */
import { StoreError } from "../error.js";
import { BLOCK, number } from "./tar-header.js";

/** What a file may be long that takes an archive a few bytes: it is hashed from end to end, holes too. */
const longest = 2 ** 40;

/** So many pieces a map may have: 16 MiB of them as text. */
const mostPieces = 1 << 20;

/** Where the stored content of a file lies in it. The pieces are in order, and apart. */
export class SparseMap {
  /** Pairs of offset and length. */
  private readonly pieces: number[] = [];

  constructor(
    /** Of the whole file, with its holes. */
    readonly size: number,
    private readonly path: string,
  ) {
    if (!Number.isSafeInteger(size) || size < 0) throw this.damaged("the size of the file is no number");
    if (size > longest) {
      throw new StoreError(`${JSON.stringify(path)} is a sparse file of ${size} bytes: the most is ${longest}`);
    }
  }

  private damaged(why: string): StoreError {
    return new StoreError(
      `the tar archive is damaged: the map of the sparse file ${JSON.stringify(this.path)}: ${why}`,
    );
  }

  /** Adds a piece behind the others. Throws StoreError. */
  add(offset: number, length: number): void {
    const { pieces } = this;
    const end = (pieces.at(-2) ?? 0) + (pieces.at(-1) ?? 0);
    if (!(offset >= end && length >= 0 && offset + length <= this.size))
      throw this.damaged("its pieces are not in order");
    if (pieces.length >= 2 * mostPieces) throw this.damaged("it is too long");
    // An empty one only says where the file ends.
    if (length > 0) pieces.push(offset, length);
  }

  /** The map is complete: the archive must have what it tells of. Throws StoreError. */
  check(stored: number): void {
    let length = 0;
    for (let at = 1; at < this.pieces.length; at += 2) length += this.pieces[at] as number;
    if (length !== stored) throw this.damaged(`it tells of ${length} bytes, and ${stored} are stored`);
  }

  /** Tells where the stored content belongs, as it comes. */
  reader(): SparseReader {
    return new SparseReader(this.pieces);
  }
}

export class SparseReader {
  private piece = 0;
  private done = 0;

  constructor(private readonly pieces: readonly number[]) {}

  /** Where the next stored byte lies in the file. */
  get offset(): number {
    return (this.pieces[this.piece] ?? 0) + this.done;
  }

  /** How many of the next `most` stored bytes lie together; they are taken. */
  take(most: number): number {
    const left = (this.pieces[this.piece + 1] ?? 0) - this.done;
    const length = Math.min(left, most);
    this.done += length;
    if (length === left) {
      this.piece += 2;
      this.done = 0;
    }
    return length;
  }
}

// ---- GNU's own header -----------------------------------------------------------------------------------------------

/** The map in a header of type `S`: up to four pieces; and whether blocks with more of them follow. */
export function oldGnuMap(header: Buffer, offset: number, path: string): { map: SparseMap; more: boolean } {
  const map = new SparseMap(number(header, offset + 483, 12), path);
  addPieces(map, header, offset + 386, 4);
  return { map, more: header[offset + 482] === 1 };
}

/** Takes the pieces of a block that follows such a header; whether another one follows. */
export function addGnuBlock(map: SparseMap, block: Buffer, offset: number): boolean {
  addPieces(map, block, offset, 21);
  return block[offset + 504] === 1;
}

function addPieces(map: SparseMap, block: Buffer, start: number, count: number): void {
  for (let at = start; at < start + 24 * count && block[at] !== 0; at += 24) {
    map.add(number(block, at, 12), number(block, at + 12, 12));
  }
}

// ---- pax ------------------------------------------------------------------------------------------------------------

/** What the pax records of an entry say: its name, and a map that is in front of the content if it is not here. */
export interface PaxSparse {
  readonly map: SparseMap;
  readonly path: string;
  readonly mapFollows: boolean;
}

/** What pax records say of a sparse file; undefined if it is none. Throws StoreError. */
export function sparseOfPax(records: ReadonlyMap<string, string>, entryPath: string): PaxSparse | undefined {
  const get = (key: string): string | undefined => records.get(`GNU.sparse.${key}`);
  const path = get("name") ?? entryPath;
  const version = `${get("major") ?? 0}.${get("minor") ?? 0}`;
  if (version === "1.0") return { map: new SparseMap(decimal(get("realsize")), path), path, mapFollows: true };
  if (get("major") !== undefined) {
    throw new StoreError(
      `${JSON.stringify(path)} is stored as a sparse file in a format that is not known: ${version}`,
    );
  }
  const size = get("size");
  if (size === undefined) return undefined;
  const map = new SparseMap(decimal(size), path);
  const numbers = (get("map") ?? "").split(",").filter((word) => word !== "");
  for (let at = 0; at < numbers.length; at += 2) map.add(decimal(numbers[at]), decimal(numbers[at + 1]));
  return { map, path, mapFollows: false };
}

function decimal(text: string | undefined): number {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
}

/** Reads the map in front of the content: a count, and as many offsets and lengths, each on a line, filled up to whole blocks. */
export class MapText {
  private line = "";
  private count: number | undefined;
  private offset: number | undefined;

  constructor(private readonly map: SparseMap) {}

  /** Takes a block; true if the map is complete. Throws StoreError. */
  push(block: Buffer, offset: number): boolean {
    for (let at = offset; at < offset + BLOCK; at++) {
      const byte = block[at] as number;
      if (byte !== 0x0a) {
        this.line += String.fromCharCode(byte);
        // The longest number, and the zeros that a block is filled up with.
        if (this.line.length > 16) this.take(Number.NaN);
      } else {
        this.take(decimal(this.line));
        this.line = "";
        if (this.count === 0) return true;
      }
    }
    return false;
  }

  private take(value: number): void {
    if (this.count === undefined) {
      if (!(value <= mostPieces)) throw new StoreError("the tar archive is damaged: the map of a sparse file is none");
      this.count = value;
    } else if (this.offset === undefined) this.offset = value;
    else {
      this.map.add(this.offset, value);
      this.offset = undefined;
      this.count--;
    }
  }
}
