/**
 * The heads of a hash table's chains, which grows by one bucket at a time (linear hashing): no insertion has to move more
 * than one chain. The chains themselves are their owner's.
 */
import { ignore } from "../errno.js";

const CHUNK_SHIFT = 14;
const IN_CHUNK = 0x3fff;

export class Buckets {
  private readonly chunks = [new Int32Array(IN_CHUNK + 1)];
  /** These bits of the hash tell the bucket, … */
  private mask = IN_CHUNK >> 1;
  /** … and one bit more those below this one, which have been split. */
  private split = 0;

  constructor() {
    // V8 takes a field that was set once for constant, and throws optimized code away when it is set again: better now.
    this.split = this.mask;
    ignore(this.grow(), "nothing hangs there yet");
  }

  get count(): number {
    return this.mask + 1 + this.split;
  }

  // In both that follow the branch has nothing in it that V8 would have to see once before it can optimize it.

  /** The first of the chain of a hash, 0 for none. */
  first(hash: number): number {
    const wide = hash & ((this.mask << 1) | 1);
    let bucket = hash & this.mask;
    if (bucket < this.split) bucket = wide;
    return (this.chunks[bucket >> CHUNK_SHIFT] as Int32Array)[bucket & IN_CHUNK] as number;
  }

  /** Puts another one first; returns that which was. */
  setFirst(hash: number, first: number): number {
    const wide = hash & ((this.mask << 1) | 1);
    let bucket = hash & this.mask;
    if (bucket < this.split) bucket = wide;
    const chunk = this.chunks[bucket >> CHUNK_SHIFT] as Int32Array;
    const before = chunk[bucket & IN_CHUNK] as number;
    chunk[bucket & IN_CHUNK] = first;
    return before;
  }

  /** Adds a bucket. Returns the first of a chain that must be hung anew, since some of it belongs into the new one. */
  grow(): number {
    const { count, split } = this;
    if (count >> CHUNK_SHIFT === this.chunks.length) this.chunks.push(new Int32Array(IN_CHUNK + 1));
    const chunk = this.chunks[split >> CHUNK_SHIFT] as Int32Array;
    const first = chunk[split & IN_CHUNK] as number;
    chunk[split & IN_CHUNK] = 0;
    this.split++;
    if (this.split > this.mask) {
      this.mask = this.mask * 2 + 1;
      this.split = 0;
    }
    return first;
  }
}
