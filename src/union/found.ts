/** What a search in the layers found. */
import { ignore } from "../errno.js";
import type { Stat } from "../layer/stat.js";
import { native } from "../native/index.js";
import type { Part } from "./directory.js";
import type { InodeNumbers } from "./inode-numbers.js";
import type { LowerNames, NameGatherer } from "./lower-names.js";

/** Parts of a directory that a search keeps open. */
const HELD = 8;

/** What a search found; one object a union, reused. */
export class Found {
  /** The topmost layer that has the object. */
  layer = 0;
  /** For a directory found in the upper: where the layers below know it, if a redirect says so. */
  redirect: string | null = null;
  /** The object was made just now: it has no marks. */
  fresh = false;
  /** For a directory found in the upper: the topmost lower part has the number in `inoLow` and `inoHigh`. */
  hasLower = false;
  inoLow = 0;
  inoHigh = 0;
  /** What the lower parts of a directory mention, if all of them were read; and how many subdirectories it shows, or -1. */
  names: LowerNames | null = null;
  subdirectories = -1;
  private parts: Part[] = [];

  reset(): void {
    if (this.parts.length > 0) this.dropParts();
    this.names = null;
    this.subdirectories = -1;
    this.redirect = null;
    this.fresh = false;
    this.hasLower = false;
  }
  /** Nobody has taken them. */
  private dropParts(): void {
    for (const part of this.parts) if (part.fd >= 0) ignore(native.close(part.fd), "nothing was written through it");
    this.parts = [];
  }
  /** A further part was found, which `stat` describes: the topmost lower one gives a merged directory its number. */
  noteLower(numbers: InodeNumbers, stat: Stat): void {
    if (this.layer !== 0 || this.hasLower) return;
    this.hasLower = true;
    numbers.show(stat);
    this.inoLow = numbers.low;
    this.inoHigh = numbers.high;
  }
  add(part: Part): void {
    this.parts.push(part);
  }
  /** Of a part that was read the descriptor becomes its own, if there are few: whoever finds a directory mostly looks into it next. */
  hold(part: Part, fd: number): void {
    if (this.parts.length <= HELD) part.fd = fd;
    else ignore(native.close(fd), "nothing was written through it");
  }
  /** All parts were read: what their listings say. */
  gathered(listings: NameGatherer): void {
    this.names = listings.finish();
    this.subdirectories = listings.subdirectories(this.names);
  }
  get first(): Part {
    return this.parts[0] as Part;
  }
  get last(): Part {
    return this.parts.at(-1) as Part;
  }
  get hasParts(): boolean {
    return this.parts.length > 0;
  }
  takeParts(): Part[] {
    const parts = this.parts;
    this.parts = [];
    return parts;
  }
}
