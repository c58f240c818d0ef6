/**
 * Listings of lower parts that were read when their directory was found, for its number of links: who walks over a tree lists the directory
 * next, and need not read them again. Lower layers do not change, and each listing serves once.
 */
import type { RawListing } from "../layer/listing.js";
import type { Part } from "./directory.js";

/** Names in all of them, at most, each list counted as one more: a megabyte of memory. */
const LIMIT = 8192;

export class KeptLists {
  /** In the order in which they were read. */
  private readonly lists = new Map<Part, RawListing>();
  private count = 0;

  keep(part: Part, list: RawListing): void {
    if (part.layer === 0 || weight(list) > LIMIT) return;
    this.drop(part);
    this.lists.set(part, list);
    this.count += weight(list);
    while (this.count > LIMIT) this.drop(this.lists.keys().next().value as Part);
  }

  /** Hands a listing over; undefined if there is none. */
  take(part: Part): RawListing | undefined {
    const list = this.lists.get(part);
    if (list !== undefined) this.drop(part);
    return list;
  }

  /** The part is needed no more. */
  drop(part: Part): void {
    const list = this.lists.get(part);
    if (list === undefined) return;
    this.lists.delete(part);
    this.count -= weight(list);
  }
}

/** Empty lists take memory, too. */
function weight(list: RawListing): number {
  return list.names.length + 1;
}
