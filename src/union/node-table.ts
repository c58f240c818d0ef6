/**
 * The node table: one row per object the kernel knows, in a struct of arrays addressed by the nodeid. A row is a name
 * (the primary one; further hard links are aliases), a parent, a layer and the inode number users see. About 65 bytes a
 * row plus the name, none of them in V8's heap. Nothing outside this file knows the arrays.
 */
import { ENOENT } from "../errno.js";
import { Aliases, type Place } from "./aliases.js";
import type { Directory } from "./directory.js";
import { NameStore } from "./name-store.js";

/** The nodeid of the merged root (FUSE_ROOT_ID). */
export const ROOT = 1;

/** The node has no name any more: unlinked, replaced, or made by O_TMPFILE. */
const NAMELESS = 1;
/** The row is in use. */
const ALIVE = 8;
/** The node's descriptor is the last way to it, and not in the LRU. */
const PINNED = 16;
/** Where the data of a regular file is: two bits of the flags. */
const DATA_SHIFT = 5;
const DATA_MASK = 3 << DATA_SHIFT;
export const DATA_UNKNOWN = 0;
/** In the file itself. */
export const DATA_OWN = 1;
/** The file is a metacopy. */
export const DATA_BELOW = 2;
/** What chattr(1) forbids, of the backing inode or by `overlay.protattr`. */
const PROTECTION_SHIFT = 3;
/** As the bits of FS_IOC_GETFLAGS, 0x10 and 0x20, moved to where there is room. */
export const IMMUTABLE = 0x10;
export const APPEND_ONLY = 0x20;
export const PROTECTED = IMMUTABLE | APPEND_ONLY;
const PROTECTION_MASK = PROTECTED << PROTECTION_SHIFT;
/** Protected since the node is known: the kernel may hold pages that were changed before. */
const LATE = 1 << 9;
/** The object is known to have no `security.capability`. */
const INCAPABLE = 1 << 10;
/** How the node's descriptor is open: two bits of the flags. */
const ACCESS_SHIFT = 1;
const ACCESS_MASK = 3 << ACCESS_SHIFT;
/** O_PATH: only names the object. */
export const ACCESS_PATH = 0;
export const ACCESS_READ = 1;
export const ACCESS_WRITE = 2;

const NO_NODE = 0;

function grow<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array>(old: T, size: number): T {
  const bigger = new (old.constructor as new (size: number) => T)(size);
  bigger.set(old as never);
  return bigger;
}

/** FNV-1a over the parent and the bytes of the name. */
function hash(parent: number, name: string): number {
  let h = 0x811c9dc5 ^ parent;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return (h ^ (h >>> 15)) >>> 0;
}

export class NodeTable {
  private capacity = 512;
  private used = 2;
  private free = NO_NODE;
  private alive = 0;

  private parents = new Uint32Array(this.capacity);
  private readonly names = new NameStore();
  private namePlaces = new Uint32Array(this.capacity);
  private nameLengths = new Uint8Array(this.capacity);
  private hashes = new Uint32Array(this.capacity);
  private lookups = new Float64Array(this.capacity);
  /** Rows whose parent is this one, aliases included: a parent outlives its children's names. */
  private children = new Uint32Array(this.capacity);
  private chain = new Uint32Array(this.capacity);
  private flags = new Uint16Array(this.capacity);
  private types = new Uint8Array(this.capacity);
  private layers = new Uint16Array(this.capacity);
  private lows = new Uint32Array(this.capacity);
  private highs = new Uint32Array(this.capacity);
  private generations = new Uint32Array(this.capacity);
  private descriptors = new Int32Array(this.capacity);
  /** 0, or where the row's directory is in `directories`. */
  private slots = new Uint32Array(this.capacity);
  private readonly directories: (Directory | undefined)[] = [undefined];
  private readonly freeSlots: number[] = [];

  private buckets = new Uint32Array(1024);
  private readonly aliases = new Aliases();

  constructor() {
    // V8 takes a field that was set once for constant, and throws optimized code away when it is set again: better now.
    this.growRows();
    this.growBuckets();
    this.free = this.chain[0] as number;
  }

  /** Adds a row without a name and with a lookup count of 0. `type` is a DT_* value, `layer` a layer index. */
  add(type: number, layer: number): number {
    let node = this.free;
    if (node !== NO_NODE) {
      this.free = this.chain[node] as number;
    } else {
      if (this.used === this.capacity) this.growRows();
      node = this.used++;
    }
    this.parents[node] = NO_NODE;
    this.lookups[node] = 0;
    this.children[node] = 0;
    this.chain[node] = NO_NODE;
    this.flags[node] = ALIVE | NAMELESS;
    this.types[node] = type;
    this.layers[node] = layer;
    this.descriptors[node] = -1;
    this.generations[node] = (this.generations[node] as number) + 1;
    this.alive++;
    return node;
  }

  /** Adds the root's row: nodeid 1, its own parent, never freed. */
  addRoot(type: number, layer: number): void {
    this.flags[ROOT] = ALIVE;
    this.types[ROOT] = type;
    this.layers[ROOT] = layer;
    this.lookups[ROOT] = 1;
    this.parents[ROOT] = ROOT;
    this.descriptors[ROOT] = -1;
    this.alive++;
  }

  /** Whether the nodeid is one of a row in use, and not a stale one. */
  isAlive(node: number): boolean {
    return node > 0 && node < this.used && ((this.flags[node] as number) & ALIVE) !== 0;
  }

  /**
   * Frees the row. It must have neither lookups, nor children, nor a name (`dropNames`).
   */
  remove(node: number): void {
    this.flags[node] = 0;
    const slot = this.slots[node] as number;
    if (slot !== 0) {
      this.slots[node] = 0;
      this.directories[slot] = undefined;
      this.freeSlots.push(slot);
    }
    this.chain[node] = this.free;
    this.free = node;
    this.alive--;
  }

  get count(): number {
    return this.alive;
  }

  // ---- columns --------------------------------------------------------------------------------------------------
  parent(node: number): number {
    return this.parents[node] as number;
  }
  name(node: number): string {
    return this.names.get(this.namePlaces[node] as number, this.nameLengths[node] as number);
  }
  /** DT_*. */
  type(node: number): number {
    return this.types[node] as number;
  }
  layer(node: number): number {
    return this.layers[node] as number;
  }
  setLayer(node: number, layer: number): void {
    this.layers[node] = layer;
  }
  generation(node: number): number {
    return this.generations[node] as number;
  }
  inoLow(node: number): number {
    return this.lows[node] as number;
  }
  inoHigh(node: number): number {
    return this.highs[node] as number;
  }
  setIno(node: number, low: number, high: number): void {
    this.lows[node] = low;
    this.highs[node] = high;
  }
  isNameless(node: number): boolean {
    return ((this.flags[node] as number) & NAMELESS) !== 0;
  }
  directory(node: number): Directory | undefined {
    return this.directories[this.slots[node] as number];
  }
  setDirectory(node: number, directory: Directory): void {
    const slot = this.slots[node] || (this.freeSlots.pop() ?? this.directories.length);
    this.slots[node] = slot;
    this.directories[slot] = directory;
  }
  /**
   * The node's descriptor, -1 for none: a file's data, held by the LRU of descriptors; or, of a nameless node, the
   * descriptor that is the only way left to it, pinned.
   */
  descriptor(node: number): number {
    return this.descriptors[node] as number;
  }
  /** DATA_*. */
  data(node: number): number {
    return ((this.flags[node] as number) & DATA_MASK) >> DATA_SHIFT;
  }
  setData(node: number, data: number): void {
    this.flags[node] = ((this.flags[node] as number) & ~DATA_MASK) | (data << DATA_SHIFT);
  }
  /** IMMUTABLE and APPEND_ONLY. */
  protection(node: number): number {
    return ((this.flags[node] as number) & PROTECTION_MASK) >> PROTECTION_SHIFT;
  }
  /** Adds to what is forbidden. */
  protect(node: number, bits: number): void {
    this.flags[node] = (this.flags[node] as number) | (bits << PROTECTION_SHIFT);
  }
  /** Sets what is forbidden from now on. */
  setProtection(node: number, bits: number): void {
    const others = (this.flags[node] as number) & ~(PROTECTION_MASK | LATE);
    this.flags[node] = others | (bits << PROTECTION_SHIFT) | (bits !== 0 ? LATE : 0);
  }
  /** Whether the protection is younger than the row. */
  isLateProtected(node: number): boolean {
    return ((this.flags[node] as number) & LATE) !== 0;
  }
  /** A row that takes the place of another is protected as that one was. */
  inheritProtection(node: number, from: number): void {
    this.flags[node] = (this.flags[node] as number) | ((this.flags[from] as number) & (PROTECTION_MASK | LATE));
  }
  /** Whether it is known that the node has no `security.capability`. */
  lacksCapability(node: number): boolean {
    return ((this.flags[node] as number) & INCAPABLE) !== 0;
  }
  setLacksCapability(node: number, lacks: boolean): void {
    this.flags[node] = lacks ? (this.flags[node] as number) | INCAPABLE : (this.flags[node] as number) & ~INCAPABLE;
  }
  isPinned(node: number): boolean {
    return ((this.flags[node] as number) & PINNED) !== 0;
  }
  setPinned(node: number, pinned: boolean): void {
    this.flags[node] = pinned ? (this.flags[node] as number) | PINNED : (this.flags[node] as number) & ~PINNED;
  }
  /** ACCESS_*: how `descriptor` is open. */
  access(node: number): number {
    return ((this.flags[node] as number) & ACCESS_MASK) >> ACCESS_SHIFT;
  }
  setDescriptor(node: number, fd: number, access: number): void {
    this.descriptors[node] = fd;
    this.flags[node] = ((this.flags[node] as number) & ~ACCESS_MASK) | (access << ACCESS_SHIFT);
  }

  // ---- lookup counts --------------------------------------------------------------------------------------------
  addLookup(node: number): void {
    this.lookups[node] = (this.lookups[node] as number) + 1;
  }
  /** Subtracts `count`; returns what is left. */
  dropLookups(node: number, count: number): number {
    const left = Math.max(0, (this.lookups[node] as number) - count);
    this.lookups[node] = left;
    return left;
  }
  hasLookups(node: number): boolean {
    return (this.lookups[node] as number) > 0;
  }
  hasChildren(node: number): boolean {
    return (this.children[node] as number) > 0;
  }

  // ---- names ----------------------------------------------------------------------------------------------------
  /** The node known under this name, or -ENOENT. */
  find(parent: number, name: string): number {
    const hashed = hash(parent, name);
    let node = this.buckets[hashed & (this.buckets.length - 1)] as number;
    while (node !== NO_NODE) {
      if (this.hashes[node] === hashed && this.parents[node] === parent && this.isNamed(node, name)) return node;
      node = this.chain[node] as number;
    }
    return this.aliases.find(parent, name) ?? -ENOENT;
  }

  /** Gives the node a name: its primary one if it has none, otherwise an alias. The name must be free. */
  addName(node: number, parent: number, name: string): void {
    this.children[parent] = (this.children[parent] as number) + 1;
    if (!this.isNameless(node)) {
      this.aliases.add(node, parent, name);
      return;
    }
    this.flags[node] = (this.flags[node] as number) & ~NAMELESS;
    this.setName(node, parent, name);
    if (this.alive > this.buckets.length) this.growBuckets();
    this.hang(node);
  }

  /**
   * Takes one name away; an alias becomes the primary name if the primary one goes. Returns the parent that lost a
   * child, which the caller must let go of (`Union.release`).
   */
  removeName(node: number, parent: number, name: string): void {
    this.children[parent] = (this.children[parent] as number) - 1;
    if (this.aliases.find(parent, name) === node) {
      this.aliases.remove(node, parent, name);
      return;
    }
    this.unhang(node);
    const promoted = this.aliases.any(node);
    if (promoted === undefined) {
      this.flags[node] = (this.flags[node] as number) | NAMELESS;
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

  private isNamed(node: number, name: string): boolean {
    return this.nameLengths[node] === name.length && this.names.equals(this.namePlaces[node] as number, name);
  }

  /** Replaces what the row is called; it must not hang in a bucket. */
  private setName(node: number, parent: number, name: string): void {
    this.names.remove(this.namePlaces[node] as number, this.nameLengths[node] as number);
    this.namePlaces[node] = this.names.add(name);
    this.nameLengths[node] = name.length;
    this.parents[node] = parent;
    this.hashes[node] = hash(parent, name);
  }

  private hang(node: number): void {
    const bucket = (this.hashes[node] as number) & (this.buckets.length - 1);
    this.chain[node] = this.buckets[bucket] as number;
    this.buckets[bucket] = node;
  }

  private unhang(node: number): void {
    const bucket = (this.hashes[node] as number) & (this.buckets.length - 1);
    let at = this.buckets[bucket] as number;
    if (at === node) {
      this.buckets[bucket] = this.chain[node] as number;
    } else {
      while (at !== NO_NODE && this.chain[at] !== node) at = this.chain[at] as number;
      if (at !== NO_NODE) this.chain[at] = this.chain[node] as number;
    }
    this.chain[node] = NO_NODE;
  }

  private growBuckets(): void {
    const before = this.buckets;
    this.buckets = new Uint32Array(before.length * 4);
    for (const first of before) {
      for (let node = first; node !== NO_NODE; ) {
        const next = this.chain[node] as number;
        this.hang(node);
        node = next;
      }
    }
  }

  private growRows(): void {
    const size = this.capacity * 2;
    this.parents = grow(this.parents, size);
    this.namePlaces = grow(this.namePlaces, size);
    this.nameLengths = grow(this.nameLengths, size);
    this.hashes = grow(this.hashes, size);
    this.slots = grow(this.slots, size);
    this.lookups = grow(this.lookups, size);
    this.children = grow(this.children, size);
    this.chain = grow(this.chain, size);
    this.flags = grow(this.flags, size);
    this.types = grow(this.types, size);
    this.layers = grow(this.layers, size);
    this.lows = grow(this.lows, size);
    this.highs = grow(this.highs, size);
    this.generations = grow(this.generations, size);
    this.descriptors = grow(this.descriptors, size);
    this.capacity = size;
  }
}
