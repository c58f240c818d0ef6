/**
 * Writes the regular files of a layer, many with one call of the addon, on a native thread of its own while this one reads on in the archive.
 * What is to be done is put down as orders, which are carried out in their order; who needs them done says `settle`.
 */
import { EBUSY, errnoName, ignore } from "../../errno.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { type Attributes, failed, ownerFailed } from "./attribute-writer.js";

/** The steps of an order, in their order, as in native/files.c. */
const CREATE = 1;
const WRITE = 2;
const BEGIN_WRITEBACK = 4;
const OWNER = 8;
const MODE = 16;
const TIME = 32;
const CLOSE = 64;
const HASH = 128;

/** What to set of an object that has been made; its time always is. */
export interface Finish {
  readonly owner: boolean;
  readonly mode: boolean;
}

/** Content from this size on goes to the disk at once. Less waits for the sync: it would be more requests than the disk gains time. */
export const worthWriteback = 128 * 1024;

const orderSize = 64;
const mostOrders = 256;
/** Bytes for names: so many orders have room for it that only long names make a batch shorter. */
const namesSize = mostOrders * 64;

/** Files that native code found in an archive, one behind the other in one directory. */
export interface FileRun {
  /** The first of the orders. */
  readonly first: number;
  readonly count: number;
  /** The path of the directory in the layer, as bytes. */
  readonly real: Buffer;
}

/** Who hears that files of a run have been made: `table` and `names` hold what has become of the orders. */
export type RunMade = (table: Uint8Array, names: Uint8Array, run: FileRun) => void;

/** A batch of orders, and what to say if one fails. `content` is kept, since a thread reads it. */
class Batch {
  readonly table = new ArrayBuffer(mostOrders * orderSize);
  readonly doubles = new Float64Array(this.table);
  readonly words = new Int32Array(this.table);
  readonly bytes = new Uint8Array(this.table);
  readonly names = Buffer.alloc(namesSize);
  readonly paths: string[] = [];
  /** By the number of the order, from the first on: who wants to know the hash of its content. */
  readonly wanted: (Hashed | undefined)[] = [];
  readonly runs: FileRun[] = [];
  count = 0;
  named = 0;
  content: Uint8Array = this.bytes;
  done: (() => void) | undefined;

  clear(): void {
    this.count = 0;
    this.named = 0;
    this.paths.length = 0;
    this.wanted.length = 0;
    this.runs.length = 0;
    this.content = this.bytes;
    this.done = undefined;
  }

  /** Tells the hashes that were wanted. */
  tellHashes(): void {
    for (let order = 0; order < this.wanted.length; order++) {
      const word = order * (orderSize / 4);
      this.wanted[order]?.hashed(hex32(this.words[word + 1] as number) + hex32(this.words[word] as number));
    }
  }

  /** The first that failed, if `first` (from 1 on) is what the addon says. */
  failure(first: number): StoreError | undefined {
    if (first === 0) return undefined;
    const word = (first - 1) * (orderSize / 4);
    const path = this.paths[first - 1] as string;
    const error = this.words[word + 14] as number;
    switch (this.words[word + 13]) {
      case CREATE:
        return failed("made", path, error);
      case OWNER:
        return ownerFailed(path, this.words[word + 11] as number, this.words[word + 12] as number, error);
      case MODE:
        return failed("given its mode", path, error);
      case TIME:
        return failed("given its time", path, error);
      default:
        return failed("written", path, error);
    }
  }
}

/** 8 hexadecimal digits. */
function hex32(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

/** Who hears the hash of the content of a file, XXH64 in 16 hexadecimal digits, when the file has been made. */
export interface Hashed {
  hashed(hash: string): void;
}

// ---- the thread ---------------------------------------------------------------------------------------------------

/** Batches that the thread has, by the number of the job, and who is told. */
const underWay = new Map<number, (first: number) => void>();
let users = 0;
let jobs = 0;

/** False if the addon's threads work for somebody else here. */
function joinThread(): boolean {
  if (users === 0) {
    const started = native.jobsStart(
      1,
      (id, first) => {
        const told = underWay.get(id);
        underWay.delete(id);
        told?.(first);
      },
      0,
    );
    if (started === -EBUSY) return false;
    if (started < 0) throw new StoreError(`a thread that writes layers cannot be started: ${errnoName(started)}`);
  }
  users++;
  return true;
}

function leaveThread(): void {
  users--;
  if (users === 0) ignore(native.jobsStop(), "it cannot fail");
}

// ---- orders -------------------------------------------------------------------------------------------------------

export class FileOrders {
  private readonly hasThread: boolean;
  private readonly free: Batch[] = [];
  private batch = new Batch();
  /** Batches that the thread has. */
  private pending = 0;
  private failure: StoreError | undefined;
  /** Whether hashes can be asked for. */
  readonly canHash = native.canHash() === 1;

  /** With `apart` a native thread writes; otherwise all is done before `flush` returns. */
  constructor(
    apart: boolean,
    private readonly runMade: RunMade = () => {},
  ) {
    this.hasThread = apart && joinThread();
  }

  /** Content of the orders that follow lies in `content`. What was ordered before must have been flushed. */
  from(content: Uint8Array): void {
    this.batch.content = content;
  }

  /** A new file of this process, with all its content and attributes. `hashed` only if `canHash`. */
  make(
    fd: number,
    name: string,
    path: string,
    start: number,
    length: number,
    wanted: Attributes,
    set: Finish,
    hashed?: Hashed,
  ): void {
    if (this.batch.named + name.length + 1 > namesSize) this.submit(undefined);
    const { batch } = this;
    const steps = CREATE | contentSteps(length) | finishSteps(set) | (hashed === undefined ? 0 : HASH);
    if (hashed !== undefined) batch.wanted[batch.count] = hashed;
    this.add(fd, path, steps, start, length, 0, wanted);
    batch.named += batch.names.latin1Write(name, batch.named);
    batch.names[batch.named++] = 0;
    if (batch.count === mostOrders) this.submit(undefined);
  }

  /** Where orders for a run of files can be put down, which `addRun` adds then: the order that will be the next one, and where its name is. */
  place(): {
    readonly content: Uint8Array;
    readonly table: Uint8Array;
    readonly names: Buffer;
    readonly count: number;
    readonly named: number;
  } {
    const { content, bytes, names, count, named } = this.batch;
    return { content, table: bytes, names, count, named };
  }

  /** Orders have been put to the place, for files with these paths; their names end at `named`. `real` is their directory in the layer. */
  addRun(paths: readonly string[], named: number, real: Buffer): void {
    const { batch } = this;
    batch.runs.push({ first: batch.count, count: paths.length, real });
    batch.paths.push(...paths);
    batch.count += paths.length;
    batch.named = named;
    if (batch.count === mostOrders) this.submit(undefined);
  }

  /** Content of the open file `fd`. */
  write(fd: number, path: string, start: number, length: number, offset: number): void {
    this.add(fd, path, contentSteps(length), start, length, offset, nothing);
    if (this.batch.count === mostOrders) this.submit(undefined);
  }

  /** The open file `fd` has its content: it gets its attributes, and is closed, whatever fails. */
  finish(fd: number, path: string, wanted: Attributes, set: Finish): void {
    this.add(fd, path, finishSteps(set), 0, 0, 0, wanted);
    if (this.batch.count === mostOrders) this.submit(undefined);
  }

  /** Has everything carried out; `done` is called when that is done, and the content is used no more. Throws StoreError for what failed before. */
  flush(done: () => void): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.batch.count === 0 && this.pending === 0) done();
    else this.submit(done);
    if (this.failure !== undefined) throw this.failure;
  }

  /** Returns when everything has been carried out. Throws StoreError for the first that failed. */
  settle(): void {
    this.wait();
    if (this.failure !== undefined) throw this.failure;
  }

  /** Waits for what is under way, and gives the thread up. */
  close(): void {
    this.wait();
    if (this.hasThread) leaveThread();
  }

  private wait(): void {
    if (this.batch.count > 0) this.submit(undefined);
    while (this.pending > 0) ignore(native.jobsWait(), "each batch tells");
  }

  private add(
    fd: number,
    path: string,
    steps: number,
    start: number,
    length: number,
    offset: number,
    { mode, uid, gid, mtime, mtimeNsec }: Attributes,
  ): void {
    const { batch } = this;
    const { doubles, words } = batch;
    const double = batch.count * (orderSize / 8);
    const word = batch.count * (orderSize / 4);
    doubles[double] = offset;
    doubles[double + 1] = mtime;
    words[word + 4] = mtimeNsec;
    words[word + 5] = fd;
    words[word + 6] = steps;
    words[word + 7] = batch.named;
    words[word + 8] = start;
    words[word + 9] = length;
    words[word + 10] = mode;
    words[word + 11] = uid;
    words[word + 12] = gid;
    batch.paths.push(path);
    batch.count++;
  }

  private submit(done: (() => void) | undefined): void {
    const { batch } = this;
    const { bytes, names, content, count } = batch;
    batch.done = done;
    if (!this.hasThread) {
      this.ended(batch, native.makeFiles(bytes, count, names, content));
      this.batch.content = content;
      return;
    }
    this.batch = this.free.pop() ?? new Batch();
    this.batch.content = content;
    const id = jobs++;
    underWay.set(id, (first) => {
      this.pending--;
      this.free.push(batch);
      this.ended(batch, first);
    });
    this.pending++;
    const queued = native.jobFiles(id, bytes, count, names, content);
    if (queued === 0) return;
    underWay.delete(id);
    this.pending--;
    this.failure ??= new StoreError(`a layer cannot be written: ${errnoName(queued)}`);
  }

  private ended(batch: Batch, first: number): void {
    const { done } = batch;
    this.failure ??= batch.failure(first);
    if (this.failure === undefined) {
      batch.tellHashes();
      for (const run of batch.runs) this.runMade(batch.bytes, batch.names, run);
    }
    batch.clear();
    done?.();
  }
}

const nothing: Attributes = { mode: 0, uid: 0, gid: 0, mtime: 0, mtimeNsec: 0, xattrs: undefined };

function contentSteps(length: number): number {
  return length === 0 ? 0 : length < worthWriteback ? WRITE : WRITE | BEGIN_WRITEBACK;
}

function finishSteps({ owner, mode }: Finish): number {
  return TIME | CLOSE | (owner ? OWNER : 0) | (mode ? MODE : 0);
}
