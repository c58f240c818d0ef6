import { fromHalves } from "../protocol/request.js";
import { forget } from "../union/ops/forget.js";
import type { Union } from "../union/union.js";
import type { Listings } from "./listings.js";

/** Pairs that are handled in one go: some 150 microseconds. */
const atOnce = 128;
/** Words of a pair: a nodeid and a count, of 64 bits each. */
const pairWords = 4;

/**
 * Lookups that the kernel gives back. When it drops its caches, one message brings 65,000 of them, which would be a pause of
 * 80 ms: what is more than a few waits, and is handled bit by bit between requests. That changes nothing, since counts are only
 * added up, and a row stays until its count is 0; but who wants room on the disk must have them all handled (`all`).
 */
export class Forgets {
  private readonly waiting: Uint32Array[] = [];
  /** Words of the first of `waiting` that are done. */
  private done = 0;
  /** How many lookups have been given back so far, in pairs: who finds it changed may find room. */
  count = 0;

  constructor(
    private readonly union: Union,
    private readonly listings: Listings,
  ) {}

  /** Whether some wait for `some`. */
  get wait(): boolean {
    return this.waiting.length > 0;
  }

  one(nodeid: number, count: number): void {
    this.count++;
    this.listings.drop(nodeid);
    forget(this.union, nodeid, count);
  }

  /** Takes the pairs of one message over; they are copied if not handled at once. */
  many(pairs: Uint32Array): void {
    if (pairs.length <= atOnce * pairWords) this.handle(pairs, 0, pairs.length);
    else this.waiting.push(pairs.slice());
  }

  /** Handles a few of those that wait. */
  some(): void {
    const first = this.waiting[0];
    if (first === undefined) return;
    const from = this.done;
    const end = Math.min(first.length, from + atOnce * pairWords);
    this.done = end < first.length ? end : 0;
    if (this.done === 0) this.waiting.shift();
    this.handle(first, from, end);
  }

  /** Handles all that wait. Returns of how many messages they were. */
  all(): number {
    const messages = this.waiting.length;
    while (this.wait) this.some();
    return messages;
  }

  private handle(pairs: Uint32Array, from: number, to: number): void {
    for (let at = from; at < to; at += pairWords) {
      const nodeid = fromHalves(pairs[at] as number, pairs[at + 1] as number);
      this.one(nodeid, fromHalves(pairs[at + 2] as number, pairs[at + 3] as number));
    }
  }
}
