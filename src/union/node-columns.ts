/** The columns of the node table's rows: what is known of a node but its names. */
import type { Directory } from "./directory.js";
import {
  ACCESS_MASK,
  ACCESS_SHIFT,
  CHILDREN,
  CHUNK_SHIFT,
  DATA_MASK,
  DATA_SHIFT,
  DESCRIPTOR,
  FLAGS,
  GENERATION,
  IN_CHUNK,
  INCAPABLE,
  INO_HIGH,
  INO_LOW,
  LATE,
  LAYER_SHIFT,
  LOOKUPS_HIGH,
  LOOKUPS_LOW,
  NAMELESS,
  PARENT,
  PINNED,
  PROTECTION_MASK,
  PROTECTION_SHIFT,
  ROW_WORDS,
  SHAPE,
  SLOT,
  TYPE_MASK,
  TYPE_SHIFT,
} from "./node-row.js";

const two32 = 4294967296;

/** Where the row is in its chunk. Written out in what every request calls: a call costs as much as all the rest there. */
export function rowAt(node: number): number {
  return (node & IN_CHUNK) * ROW_WORDS;
}

export class NodeColumns {
  protected readonly chunks: Int32Array[] = [];
  private readonly directories: (Directory | undefined)[] = [undefined];
  private readonly freeSlots: number[] = [];

  constructor() {
    this.addChunk();
  }

  protected addChunk(): void {
    this.chunks.push(new Int32Array((IN_CHUNK + 1) * ROW_WORDS));
  }
  protected chunk(node: number): Int32Array {
    return this.chunks[node >> CHUNK_SHIFT] as Int32Array;
  }
  /** Of a nodeid that nobody was ever given, too: protection is asked for first of all. */
  protected flags(node: number): number {
    const chunk = this.chunks[node >> CHUNK_SHIFT];
    return chunk === undefined ? 0 : (chunk[(node & IN_CHUNK) * ROW_WORDS + FLAGS] as number);
  }
  protected setFlags(node: number, flags: number): void {
    (this.chunks[node >> CHUNK_SHIFT] as Int32Array)[(node & IN_CHUNK) * ROW_WORDS + FLAGS] = flags;
  }
  private shape(node: number): number {
    return (this.chunks[node >> CHUNK_SHIFT] as Int32Array)[(node & IN_CHUNK) * ROW_WORDS + SHAPE] as number;
  }
  parent(node: number): number {
    return (this.chunks[node >> CHUNK_SHIFT] as Int32Array)[(node & IN_CHUNK) * ROW_WORDS + PARENT] as number;
  }
  /** DT_*. */
  type(node: number): number {
    return (this.shape(node) >> TYPE_SHIFT) & TYPE_MASK;
  }
  layer(node: number): number {
    return this.shape(node) >>> LAYER_SHIFT;
  }
  setLayer(node: number, layer: number): void {
    const chunk = this.chunk(node);
    const at = rowAt(node) + SHAPE;
    chunk[at] = ((chunk[at] as number) & ((1 << LAYER_SHIFT) - 1)) | (layer << LAYER_SHIFT);
  }
  generation(node: number): number {
    return this.chunk(node)[rowAt(node) + GENERATION] as number;
  }
  inoLow(node: number): number {
    return ((this.chunks[node >> CHUNK_SHIFT] as Int32Array)[(node & IN_CHUNK) * ROW_WORDS + INO_LOW] as number) >>> 0;
  }
  inoHigh(node: number): number {
    return ((this.chunks[node >> CHUNK_SHIFT] as Int32Array)[(node & IN_CHUNK) * ROW_WORDS + INO_HIGH] as number) >>> 0;
  }
  setIno(node: number, low: number, high: number): void {
    const chunk = this.chunk(node);
    const at = rowAt(node);
    chunk[at + INO_LOW] = low;
    chunk[at + INO_HIGH] = high;
  }
  isNameless(node: number): boolean {
    return (this.flags(node) & NAMELESS) !== 0;
  }
  directory(node: number): Directory | undefined {
    return this.directories[
      (this.chunks[node >> CHUNK_SHIFT] as Int32Array)[(node & IN_CHUNK) * ROW_WORDS + SLOT] as number
    ];
  }
  setDirectory(node: number, directory: Directory): void {
    const chunk = this.chunk(node);
    const at = rowAt(node) + SLOT;
    const slot = chunk[at] || (this.freeSlots.pop() ?? this.directories.length);
    chunk[at] = slot;
    this.directories[slot] = directory;
  }
  /** The row is freed. */
  protected dropDirectory(node: number): void {
    const chunk = this.chunk(node);
    const at = rowAt(node) + SLOT;
    const slot = chunk[at] as number;
    if (slot === 0) return;
    chunk[at] = 0;
    this.directories[slot] = undefined;
    this.freeSlots.push(slot);
  }
  /**
   * The node's descriptor, -1 for none: a file's data, held by the LRU of descriptors; or, of a nameless node, the
   * descriptor that is the only way left to it, pinned.
   */
  descriptor(node: number): number {
    return (this.chunks[node >> CHUNK_SHIFT] as Int32Array)[(node & IN_CHUNK) * ROW_WORDS + DESCRIPTOR] as number;
  }
  /** DATA_*. */
  data(node: number): number {
    return (this.flags(node) & DATA_MASK) >> DATA_SHIFT;
  }
  setData(node: number, data: number): void {
    this.setFlags(node, (this.flags(node) & ~DATA_MASK) | (data << DATA_SHIFT));
  }
  /** IMMUTABLE and APPEND_ONLY. */
  protection(node: number): number {
    return (this.flags(node) & PROTECTION_MASK) >> PROTECTION_SHIFT;
  }
  /** Adds to what is forbidden. */
  protect(node: number, bits: number): void {
    this.setFlags(node, this.flags(node) | (bits << PROTECTION_SHIFT));
  }
  /** Sets what is forbidden from now on. */
  setProtection(node: number, bits: number): void {
    const others = this.flags(node) & ~(PROTECTION_MASK | LATE);
    this.setFlags(node, others | (bits << PROTECTION_SHIFT) | (bits !== 0 ? LATE : 0));
  }
  /** Whether the protection is younger than the row. */
  isLateProtected(node: number): boolean {
    return (this.flags(node) & LATE) !== 0;
  }
  /** A row that takes the place of another is protected as that one was. */
  inheritProtection(node: number, from: number): void {
    this.setFlags(node, this.flags(node) | (this.flags(from) & (PROTECTION_MASK | LATE)));
  }
  /** Whether it is known that the node has no `security.capability`. */
  lacksCapability(node: number): boolean {
    return (this.flags(node) & INCAPABLE) !== 0;
  }
  setLacksCapability(node: number, lacks: boolean): void {
    this.setFlags(node, lacks ? this.flags(node) | INCAPABLE : this.flags(node) & ~INCAPABLE);
  }
  isPinned(node: number): boolean {
    return (this.flags(node) & PINNED) !== 0;
  }
  setPinned(node: number, pinned: boolean): void {
    this.setFlags(node, pinned ? this.flags(node) | PINNED : this.flags(node) & ~PINNED);
  }
  /** ACCESS_*: how `descriptor` is open. */
  access(node: number): number {
    return (this.flags(node) & ACCESS_MASK) >> ACCESS_SHIFT;
  }
  setDescriptor(node: number, fd: number, access: number): void {
    this.chunk(node)[rowAt(node) + DESCRIPTOR] = fd;
    this.setFlags(node, (this.flags(node) & ~ACCESS_MASK) | (access << ACCESS_SHIFT));
  }

  // ---- lookup counts --------------------------------------------------------------------------------------------
  addLookup(node: number): void {
    const chunk = this.chunks[node >> CHUNK_SHIFT] as Int32Array;
    const at = (node & IN_CHUNK) * ROW_WORDS;
    const low = ((chunk[at + LOOKUPS_LOW] as number) + 1) | 0;
    chunk[at + LOOKUPS_LOW] = low;
    if (low === 0) chunk[at + LOOKUPS_HIGH] = (chunk[at + LOOKUPS_HIGH] as number) + 1;
  }
  /** Subtracts `count`; returns what is left. */
  dropLookups(node: number, count: number): number {
    const chunk = this.chunk(node);
    const at = rowAt(node);
    const low = chunk[at + LOOKUPS_LOW] as number;
    // Nearly always. The product below would be a double, an object until this code is optimized.
    if (chunk[at + LOOKUPS_HIGH] === 0 && count >= 0 && count <= low) {
      chunk[at + LOOKUPS_LOW] = low - count;
      return low - count;
    }
    const before = (chunk[at + LOOKUPS_HIGH] as number) * two32 + (low >>> 0);
    // A count that no double holds (NaN) is more than there are.
    const left = count < before ? before - count : 0;
    chunk[at + LOOKUPS_LOW] = left;
    chunk[at + LOOKUPS_HIGH] = left / two32;
    return left;
  }
  hasLookups(node: number): boolean {
    const chunk = this.chunk(node);
    const at = rowAt(node);
    return ((chunk[at + LOOKUPS_LOW] as number) | (chunk[at + LOOKUPS_HIGH] as number)) !== 0;
  }
  hasChildren(node: number): boolean {
    return (this.chunk(node)[rowAt(node) + CHILDREN] as number) > 0;
  }
  protected addChildren(parent: number, change: number): void {
    const chunk = this.chunk(parent);
    const at = rowAt(parent) + CHILDREN;
    chunk[at] = (chunk[at] as number) + change;
  }
}
