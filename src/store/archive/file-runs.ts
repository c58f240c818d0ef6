/**
 * Ordinary files of an archive, many with one call: native code reads their headers, and puts down orders for them and what is kept of the archive. Their lines of the
 * manifest are written by native code, too. So nothing but its name becomes an object of JavaScript.
 */
import { ERANGE } from "../../errno.js";
import { native } from "../../native/index.js";
import type { AttributeWriter } from "./attribute-writer.js";
import { type FileOrders, type FileRun, worthWriteback } from "./file-orders.js";
import type { SkeletonWriter } from "./skeleton.js";

/** The words of struct run in native/tar.c. */
const AT = 0;
const ORDERS = 1;
const NAMES = 2;
const SKELETON = 3;
const OPEN = 4;
const MOST = 5;
const SIZE = 6;
const FD = 7;
const UID = 8;
const GID = 9;
const UMASK = 10;
const WRITEBACK = 11;

/** A directory of the layer that is open. */
export interface RunDirectory {
  readonly fd: number;
  readonly path: string;
  /** Its path as the archive writes it, and in the layer; as bytes. */
  readonly written: Buffer;
  readonly real: Buffer;
}

/** More than a batch of orders has. */
const anyNumber = 1 << 20;

export class FileRuns {
  private readonly words = new Uint32Array(12);
  private readonly bytes = new Uint8Array(this.words.buffer);

  constructor(
    private readonly orders: FileOrders,
    private readonly skeleton: SkeletonWriter,
    { uid, gid, umask }: AttributeWriter,
  ) {
    this.words[UID] = uid;
    this.words[GID] = gid;
    this.words[UMASK] = umask;
    this.words[WRITEBACK] = worthWriteback;
  }

  /** The names of the files that begin at `at` of the content of the orders, `most` at most. Nothing is done to them before `take`. */
  find(at: number, directory: RunDirectory, most = anyNumber): readonly string[] {
    const { words } = this;
    const { content, table, names, count, named } = this.orders.place();
    const { memory, used, start } = this.skeleton.place();
    words[AT] = at;
    words[ORDERS] = count;
    words[NAMES] = named;
    words[SKELETON] = used;
    words[OPEN] = start;
    words[MOST] = most;
    words[FD] = directory.fd;
    const found = native.tarFiles(this.bytes, content, table, names, memory, directory.written, directory.real);
    if (found < 0) throw new Error(`a mistake in file-runs.ts: ${found}`);
    return found === 0 ? [] : names.latin1Slice(named, (words[NAMES] as number) - 1).split("\0");
  }

  /** The files that `find` found last, all of them, are ordered; these are their paths. Returns how many bytes of content they have, and where they end. */
  take(paths: readonly string[], directory: RunDirectory): { size: number; end: number } {
    const { words } = this;
    this.skeleton.placed(paths.length, words[SKELETON] as number, words[OPEN] as number);
    this.orders.addRun(paths, words[NAMES] as number, directory.real);
    return { size: words[SIZE] as number, end: words[AT] as number };
  }
}

/** The manifest's lines of files that were found in runs. */
export class RunLines {
  private memory = Buffer.allocUnsafeSlow(64 * 1024);
  private used = 0;
  private lines = 0;

  /** How many they are. */
  get count(): number {
    return this.lines;
  }

  /** As `RunMade`. */
  add(table: Uint8Array, names: Uint8Array, { first, count, real }: FileRun): void {
    let length = this.put(table, names, first, count, real);
    while (length === -ERANGE) {
      const larger = Buffer.allocUnsafeSlow(2 * this.memory.length);
      this.memory.copy(larger, 0, 0, this.used);
      this.memory = larger;
      length = this.put(table, names, first, count, real);
    }
    if (length < 0) throw new Error(`a mistake in file-runs.ts: ${length}`);
    this.used += length;
    this.lines += count;
  }

  /** All of them, as text, and none is left. */
  take(): string {
    const text = this.memory.latin1Slice(0, this.used);
    this.used = 0;
    this.lines = 0;
    return text;
  }

  private put(table: Uint8Array, names: Uint8Array, first: number, count: number, real: Buffer): number {
    return native.tarLines(table, first, count, names, real, this.memory.subarray(this.used));
  }
}
