/**
 * The node table: one row per object the kernel knows, found by the nodeid. A row is a name (the primary one; further hard
 * links are aliases), a parent, a layer and the inode number users see: 56 bytes, and 8 for finding it by its name, plus
 * the name, none of them in V8's heap. All of it lies in chunks that never move, so that no insertion has to copy what is
 * there: with a million nodes that would be a pause. Nothing outside this file knows the rows.
 */
import { ENOENT, ignore } from "../errno.js";
import { Aliases, type Place } from "./aliases.js";
import { Buckets } from "./buckets.js";
import { nameHash } from "./name-hash.js";
import { NameStore } from "./name-store.js";
import { NodeColumns, rowAt } from "./node-columns.js";
import {
  ALIVE,
  CHAIN,
  CHILDREN,
  CHUNK_SHIFT,
  DESCRIPTOR,
  FLAGS,
  GENERATION,
  HASH,
  IN_CHUNK,
  LAYER_SHIFT,
  LENGTH_MASK,
  LOOKUPS_HIGH,
  LOOKUPS_LOW,
  NAME,
  NAMELESS,
  NO_NODE,
  PARENT,
  ROOT,
  ROW_WORDS,
  SHAPE,
  TYPE_SHIFT,
} from "./node-row.js";

export {
  ACCESS_PATH,
  ACCESS_READ,
  ACCESS_WRITE,
  APPEND_ONLY,
  DATA_BELOW,
  DATA_OWN,
  DATA_UNKNOWN,
  IMMUTABLE,
  PROTECTED,
  ROOT,
} from "./node-row.js";

/** Of the parent and the name: 31 bits, a small integer of V8's. */
function hash(parent: number, name: string): number {
  const h = Math.imul(nameHash(name) ^ Math.imul(parent, 0x9e3779b1), 0x85ebca6b);
  return (h ^ (h >>> 15)) & 0x7fffffff;
}

export class NodeTable extends NodeColumns {
  private used = 2;
  private free = NO_NODE;
  private alive = 0;

  private readonly names = new NameStore();
  /** The node whose name was asked for last, and that name; -1 for none. */
  private namedLast = -1;
  private nameLast = "";
  private readonly buckets = new Buckets();
  private readonly aliases = new Aliases();

  constructor() {
    super();
    // As in buckets.ts: set again, so that V8 does not take it for constant.
    this.free = this.chunk(NO_NODE)[CHAIN] as number;
  }

  /** Adds a row without a name and with a lookup count of 0. `type` is a DT_* value, `layer` a layer index. */
  add(type: number, layer: number): number {
    let node = this.free;
    if (node === NO_NODE) {
      node = this.used++;
      if ((node & IN_CHUNK) === 0) this.addChunk();
    }
    const chunk = this.chunks[node >> CHUNK_SHIFT] as Int32Array;
    const at = (node & IN_CHUNK) * ROW_WORDS;
    if (node === this.free) this.free = chunk[at + CHAIN] as number;
    chunk[at + CHAIN] = NO_NODE;
    chunk[at + PARENT] = NO_NODE;
    chunk[at + SHAPE] = (layer << LAYER_SHIFT) | (type << TYPE_SHIFT);
    chunk[at + FLAGS] = ALIVE | NAMELESS;
    chunk[at + LOOKUPS_LOW] = 0;
    chunk[at + LOOKUPS_HIGH] = 0;
    chunk[at + CHILDREN] = 0;
    chunk[at + DESCRIPTOR] = -1;
    chunk[at + GENERATION] = ((chunk[at + GENERATION] as number) + 1) & 0x7fffffff;
    this.alive++;
    return node;
  }

  /** Adds the root's row: nodeid 1, its own parent, never freed. */
  addRoot(type: number, layer: number): void {
    const chunk = this.chunk(ROOT);
    const at = rowAt(ROOT);
    chunk[at + PARENT] = ROOT;
    chunk[at + SHAPE] = (layer << LAYER_SHIFT) | (type << TYPE_SHIFT);
    chunk[at + FLAGS] = ALIVE;
    chunk[at + LOOKUPS_LOW] = 1;
    chunk[at + DESCRIPTOR] = -1;
    this.alive++;
  }

  /** Whether the nodeid is one of a row in use, and not a stale one. */
  isAlive(node: number): boolean {
    return node > 0 && node < this.used && (this.flags(node) & ALIVE) !== 0;
  }

  /**
   * Frees the row. It must have neither lookups, nor children, nor a name (`dropNames`).
   */
  remove(node: number): void {
    const chunk = this.chunk(node);
    const at = rowAt(node);
    chunk[at + FLAGS] = 0;
    this.dropDirectory(node);
    chunk[at + CHAIN] = this.free;
    this.free = node;
    this.alive--;
  }

  get count(): number {
    return this.alive;
  }

  /** The node's primary name. One request asks for that of one node several times. */
  name(node: number): string {
    if (node === this.namedLast) return this.nameLast;
    const chunk = this.chunk(node);
    const at = rowAt(node);
    const name = this.names.get(chunk[at + NAME] as number, (chunk[at + SHAPE] as number) & LENGTH_MASK);
    this.namedLast = node;
    this.nameLast = name;
    return name;
  }

  // ---- names ----------------------------------------------------------------------------------------------------
  /** The node known under this name, or -ENOENT. */
  find(parent: number, name: string): number {
    const hashed = hash(parent, name);
    let node = this.buckets.first(hashed);
    while (node !== NO_NODE) {
      const chunk = this.chunks[node >> CHUNK_SHIFT] as Int32Array;
      const at = (node & IN_CHUNK) * ROW_WORDS;
      if (
        chunk[at + HASH] === hashed &&
        chunk[at + PARENT] === parent &&
        ((chunk[at + SHAPE] as number) & LENGTH_MASK) === name.length &&
        this.names.equals(chunk[at + NAME] as number, name)
      )
        return node;
      node = chunk[at + CHAIN] as number;
    }
    return this.aliases.find(parent, name) ?? -ENOENT;
  }

  /** Gives the node a name: its primary one if it has none, otherwise an alias. The name must be free. */
  addName(node: number, parent: number, name: string): void {
    this.addChildren(parent, 1);
    const chunk = this.chunks[node >> CHUNK_SHIFT] as Int32Array;
    const at = (node & IN_CHUNK) * ROW_WORDS;
    const flags = chunk[at + FLAGS] as number;
    if ((flags & NAMELESS) === 0) {
      this.aliases.add(node, parent, name);
      return;
    }
    chunk[at + FLAGS] = flags & ~NAMELESS;
    this.setName(node, parent, name);
    if (this.alive > this.buckets.count) this.growBuckets();
    chunk[at + CHAIN] = this.buckets.setFirst(chunk[at + HASH] as number, node);
  }

  /**
   * Takes one name away; an alias becomes the primary name if the primary one goes. Returns the parent that lost a
   * child, which the caller must let go of (`Union.release`).
   */
  removeName(node: number, parent: number, name: string): void {
    this.addChildren(parent, -1);
    if (this.aliases.find(parent, name) === node) {
      this.aliases.remove(node, parent, name);
      return;
    }
    this.unhang(node);
    const promoted = this.aliases.any(node);
    if (promoted === undefined) {
      this.setFlags(node, this.flags(node) | NAMELESS);
      this.setName(node, NO_NODE, "");
      return;
    }
    this.aliases.remove(node, promoted.parent, promoted.name);
    this.setName(node, promoted.parent, promoted.name);
    this.hang(node);
  }

  /** Takes all names away from a row that is about to be freed; `released` is told each parent that lost a child. */
  dropNames(node: number, released: (parent: number) => void): void {
    while (!this.isNameless(node)) {
      const parent = this.parent(node);
      this.removeName(node, parent, this.name(node));
      released(parent);
    }
  }

  /** Whether the node has names beside its primary one. */
  hasAliases(node: number): boolean {
    return this.aliases.has(node);
  }

  /** All names of a node. */
  namesOf(node: number): Place[] {
    return [{ parent: this.parent(node), name: this.name(node) }, ...this.aliases.of(node)];
  }

  /** Replaces what the row is called; it must not hang in a bucket. */
  private setName(node: number, parent: number, name: string): void {
    if (node === this.namedLast) this.namedLast = -1;
    const chunk = this.chunks[node >> CHUNK_SHIFT] as Int32Array;
    const at = (node & IN_CHUNK) * ROW_WORDS;
    const shape = chunk[at + SHAPE] as number;
    this.names.remove(chunk[at + NAME] as number, shape & LENGTH_MASK);
    chunk[at + NAME] = this.names.add(name);
    chunk[at + SHAPE] = (shape & ~LENGTH_MASK) | name.length;
    chunk[at + PARENT] = parent;
    chunk[at + HASH] = hash(parent, name);
  }

  private hang(node: number): void {
    const chunk = this.chunk(node);
    const at = rowAt(node);
    chunk[at + CHAIN] = this.buckets.setFirst(chunk[at + HASH] as number, node);
  }

  private unhang(node: number): void {
    const chunk = this.chunk(node);
    const at = rowAt(node);
    const hashed = chunk[at + HASH] as number;
    const next = chunk[at + CHAIN] as number;
    let one = this.buckets.first(hashed);
    if (one === node) {
      ignore(this.buckets.setFirst(hashed, next), "the node itself");
    } else {
      while (one !== NO_NODE && this.next(one) !== node) one = this.next(one);
      if (one !== NO_NODE) this.chunk(one)[rowAt(one) + CHAIN] = next;
    }
    chunk[at + CHAIN] = NO_NODE;
  }

  private next(node: number): number {
    return this.chunk(node)[rowAt(node) + CHAIN] as number;
  }

  private growBuckets(): void {
    for (let node = this.buckets.grow(); node !== NO_NODE; ) {
      const next = this.next(node);
      this.hang(node);
      node = next;
    }
  }
}
