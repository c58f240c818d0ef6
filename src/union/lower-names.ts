/**
 * Which lower layers mention a name in a merged directory. Lower layers do not change, so what no listing mentions is not
 * there, without a system call and whatever the number of layers; a mention is only a reason to look. Names are kept as
 * hashes: two of one hash cost a needless look, and 20 bytes for each mention are all it takes, in one typed array for a directory.
 */
import type { RawListing } from "../layer/listing.js";
import { WHITEOUT_PREFIX } from "../layer/marks.js";
import { DT_DIR, DT_UNKNOWN } from "../native/constants.js";
import { hashBehind, nameHash } from "./name-hash.js";

/** Mentions that are kept in memory, all directories together: at most 10 MB. */
export const MENTIONS_LIMIT = 500_000;

const NONE = -1;
/** Words of a mention: the hash, the layer, the next mention of that hash, in a lower layer or the same. */
const WORDS = 3;

export class LowerNames {
  /** `heads` words with the first mention of each bucket, then the mentions. */
  private readonly words: Int32Array;
  private readonly heads: number;

  constructor(hashes: readonly number[], layers: readonly number[]) {
    const count = hashes.length;
    this.heads = 2 ** Math.ceil(Math.log2(Math.max(1, count)));
    this.words = new Int32Array(this.heads + count * WORDS);
    this.words.fill(NONE, 0, this.heads);
    // The last one first, so that each chain is in the order of the layers.
    for (let i = count - 1; i >= 0; i--) {
      const hash = hashes[i] as number;
      const at = this.heads + i * WORDS;
      this.words[at] = hash;
      this.words[at + 1] = layers[i] as number;
      const head = hash & (this.heads - 1);
      this.words[at + 2] = this.words[head] as number;
      this.words[head] = at;
    }
  }

  get count(): number {
    return (this.words.length - this.heads) / WORDS;
  }

  /** The first layer, from `layer` on, whose listing mentions the name or a `.wh.` of it; -1: none does. */
  next(name: string, layer: number): number {
    const { words } = this;
    const hash = nameHash(name);
    for (let at = words[hash & (this.heads - 1)] as number; at !== NONE; at = words[at + 2] as number) {
      if (words[at] === hash && (words[at + 1] as number) >= layer) return words[at + 1] as number;
    }
    return -1;
  }

  /** Whether the listing of this layer mentions the name. */
  mentions(name: string, layer: number): boolean {
    return this.next(name, layer) === layer;
  }
}

/** Gathers the listings of a directory's parts, from the top down, those of the upper too. One object, reused. */
export class NameGatherer {
  private hashes: number[] = [];
  private layers: number[] = [];
  /** Names of directories → the topmost layer that has one of this name. */
  private directories = new Map<string, number>();
  private layer = 0;
  private certain = true;

  begin(): void {
    this.hashes = [];
    this.layers = [];
    this.directories = new Map();
    this.certain = true;
  }

  /** Adds the listing of `layer`, which is below all those before. */
  gather(list: RawListing, layer: number): void {
    const { names, types } = list;
    this.layer = layer;
    for (let k = 0; k < names.length; k++) {
      const name = names[k] as string;
      const type = types[k] as number;
      this.mention(nameHash(name));
      if (list.marked && name.startsWith(WHITEOUT_PREFIX)) {
        this.mention(hashBehind(name, WHITEOUT_PREFIX.length));
        if (type === DT_DIR) this.certain = false;
      } else if (type === DT_DIR) {
        if (!this.directories.has(name)) this.directories.set(name, layer);
      } else if (type === DT_UNKNOWN) this.certain = false;
    }
  }

  private mention(hash: number): void {
    this.hashes.push(hash);
    this.layers.push(this.layer);
  }

  finish(): LowerNames {
    return new LowerNames(this.hashes, this.layers);
  }

  /** How many subdirectories the merged directory shows; -1 where something above one could hide it. */
  subdirectories(names: LowerNames): number {
    if (!this.certain) return -1;
    for (const [name, layer] of this.directories) if (names.next(name, 0) !== layer) return -1;
    return this.directories.size;
  }
}
