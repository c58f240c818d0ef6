/** A merged directory: the parts of it that lie in the layers, and what is known about each. */

import type { LowerNames } from "./lower-names.js";

/** What is known of `.wh.` files in a part. */
export const WH_UNKNOWN = 0;
export const WH_NONE = 1;
export const WH_SOME = 2;

/** Whether an upper part may hold objects that have an origin (`overlay.impure`). */
export const PURE_UNKNOWN = 0;
export const PURE = 1;
export const IMPURE = 2;

/** Whether the upper part has a default ACL, which decides whether the umask applies to new objects. */
export const ACL_UNKNOWN = 0;
export const ACL_NONE = 1;
export const ACL_SOME = 2;

/** The directory as one layer has it. */
export interface Part {
  /** Index of the layer; the upper layer is 0. */
  readonly layer: number;
  /**
   * Where it lies in the layer, from the layer's root; null: under the node's name in the parent's part of this layer.
   * A redirect or a rename makes it explicit: lower layers do not move.
   */
  path: string | null;
  /** Cached O_PATH descriptor, or -1. */
  fd: number;
  /** WH_*. */
  marked: number;
  /** PURE_*; lower parts are not asked. */
  purity: number;
  /** `overlay.opaque` = `x`: zero-size files may be whiteouts by attribute. */
  xattrWhiteouts: boolean;
  /** The listing was read. */
  listed: boolean;
  /** Names that were looked up here and were not there: after a few, the listing is worth reading. */
  misses: number;
  /** What is known of the names in all lower parts of the directory: the same for each of them; null for an upper part. */
  known: LowerNames | null;
}

export function newPart(layer: number, path: string | null): Part {
  return {
    layer,
    path,
    fd: -1,
    marked: WH_UNKNOWN,
    purity: PURE_UNKNOWN,
    xattrWhiteouts: false,
    listed: false,
    misses: 0,
    known: null,
  };
}

export class Directory {
  /** Top first. */
  readonly parts: Part[];
  /** Where layers below the upper know this directory, if not under its parent's place and its own name: `/a/b`. */
  redirect: string | null = null;
  /** Subdirectories, for st_nlink of a merged directory; -1: not counted yet. */
  subdirectories = -1;
  /** Counts changes of the entries: a listing is as old as the version it was made from. */
  version = 0;
  defaultAcl = ACL_UNKNOWN;
  /** Words of the change time that users go on seeing although copy-ups moved that of the upper part; null: its own. */
  ctime: Uint32Array | null = null;

  constructor(parts: Part[]) {
    this.parts = parts;
  }

  get top(): Part {
    return this.parts[0] as Part;
  }

  /** The part in the upper layer, if it has been copied up or was made there. */
  get upper(): Part | null {
    return this.top.layer === 0 ? this.top : null;
  }

  get hasLower(): boolean {
    return this.parts.length > 1 || this.top.layer !== 0;
  }

  /** Made of more than one part. */
  get isMerged(): boolean {
    return this.parts.length > 1;
  }

  /** What is known of the names in the lower parts. */
  get known(): LowerNames | null {
    return (this.parts[this.parts.length - 1] as Part).known;
  }

  partIn(layer: number): Part | null {
    for (const part of this.parts) if (part.layer === layer) return part;
    return null;
  }

  /** After a change of the entries that users made; `subdirectories` is the change of their number. */
  changed(subdirectories: number): void {
    this.version++;
    this.ctime = null;
    if (this.subdirectories >= 0) this.subdirectories += subdirectories;
  }
}
