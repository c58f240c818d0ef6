/**
 * Regular files that the kernel serves by itself (FUSE passthrough): each has one backing file for all who have it open, as
 * the kernel demands, for as long as anybody has. So a file that is copied up while its lower data are open cannot show the
 * copy under the same nodeid: another row, its successor, takes the names over, and the old one goes on serving those who
 * have it open; whatever else is asked of it means the successor. Empty, and free of cost, in mounts without passthrough.
 */
/** The kernel's side of passthrough. */
export interface Backings {
  /** Registers the file behind a descriptor, which may be closed then: an id above 0, or -errno. */
  open(fd: number): number;
  /** Files that are open by the id stay open. */
  close(id: number): void;
  /** What the kernel remembers of a node's attributes is not true any more. */
  stale(node: number): void;
}

/** A node that is open. */
export interface OpenNode {
  /** Id of its backing; 0 where the kernel refused one: READ and WRITE come to the driver. */
  readonly backing: number;
  /** Whether the backing is the upper's own file. If not, writing needs a copy, and then a successor. */
  readonly own: boolean;
  /** Once there is a copy: a descriptor of the data below, which are the backing. Else -1. */
  below: number;
  handles: number;
  /** The kernel may write to the backing: somebody has opened it for that. */
  written: boolean;
}

export class OpenFiles {
  private readonly open = new Map<number, OpenNode>();
  /** Old row → the row that took its names over. */
  private readonly successors = new Map<number, number>();
  /** Successor → how many old rows there are. */
  private readonly predecessors = new Map<number, number>();
  /** Open, or once open, in a way that allows a shared mapping that can be written: nobody tells when that changes the times. */
  private readonly mappable = new Set<number>();
  private backings: Backings | null = null;
  /**
   * Nodes that have a backing of the upper, or had one since the kernel knows them: a mapping outlives its descriptor and the RELEASE of that,
   * and it is of the backing file. The kernel forgets no node that is so mapped.
   */
  private readonly backed = new Set<number>();
  /** How many nodes are open with a backing that is lower data. */
  private lowerOpen = 0;
  /** From how many bytes on `openAuto` passes a lower file through; infinite: none. */
  lowerLeast = Number.POSITIVE_INFINITY;

  /** From now on files are opened through the kernel. */
  attach(backings: Backings): void {
    this.backings = backings;
  }

  get count(): number {
    return this.open.size;
  }

  get(node: number): OpenNode | undefined {
    return this.open.get(node);
  }

  /** The id for the file behind `fd` as a backing, or 0 where the kernel refuses it. */
  register(fd: number): number {
    return Math.max(this.backings?.open(fd) ?? 0, 0);
  }

  unregister(backing: number): void {
    if (backing > 0) this.backings?.close(backing);
  }

  /** The first open of a node. `backing`, which is taken over, and `own` as in OpenNode. */
  add(node: number, backing: number, own: boolean): void {
    this.open.set(node, { backing, own, below: -1, handles: 1, written: false });
    if (backing <= 0) return;
    if (own) this.backed.add(node);
    else this.lowerOpen++;
  }

  /** A node that is open was opened for writing. */
  setWritten(node: number): void {
    const one = this.open.get(node);
    if (one !== undefined) one.written = one.backing > 0;
  }

  /** Whether the kernel may be writing to the node by itself. */
  isWritten(node: number): boolean {
    return this.open.get(node)?.written === true;
  }

  /** Whether the node's data below are its backing, so that it cannot be written under its nodeid. */
  isOld(node: number): boolean {
    const one = this.open.size > 0 ? this.open.get(node) : undefined;
    return one !== undefined && one.backing > 0 && !one.own;
  }

  /** From now on the node may be written through a mapping: its attributes can change at any time. */
  setMappable(node: number): void {
    if (this.mappable.has(node)) return;
    this.mappable.add(node);
    this.backings?.stale(node);
  }

  /** Nobody has the node open any more. Returns the descriptor of the data below, which the caller closes, or -1. */
  remove(node: number): number {
    const one = this.open.get(node);
    if (one === undefined) return -1;
    this.open.delete(node);
    if (one.backing > 0 && !one.own) this.lowerOpen--;
    this.unregister(one.backing);
    return one.below;
  }

  /** Whether the kernel may go on trusting a node's attributes. */
  trusts(node: number): boolean {
    if (this.mappable.size === 0 && this.successors.size === 0) return true;
    return !this.mappable.has(node) && !this.successors.has(node) && !this.predecessors.has(node);
  }

  /** Whether any row has a successor. */
  get anySucceeded(): boolean {
    return this.successors.size > 0;
  }

  /** The row that stands for `node`: its successor, or itself. */
  current(node: number): number {
    return this.successors.size === 0 ? node : (this.successors.get(node) ?? node);
  }

  /** The row that took over the names of `node`, or 0. */
  successor(node: number): number {
    return this.successors.get(node) ?? 0;
  }

  /** Whether old rows depend on the row of `node`. */
  isNeeded(node: number): boolean {
    return this.predecessors.size > 0 && this.predecessors.has(node);
  }

  /** From now on `successor` stands for `node`. */
  succeed(node: number, successor: number): void {
    this.successors.set(node, successor);
    this.predecessors.set(successor, (this.predecessors.get(successor) ?? 0) + 1);
    this.backings?.stale(node);
  }

  /**
   * Whether nodes stand in the way of opens that are no messages. Such an open reads and writes by the kernel's cache of the node: the kernel
   * refuses it (EIO) while a backing is open; and it would not see what is written through a mapping of an upper backing, nor, by the nodeid
   * of an old row, what is cached for the successor. A mapping of lower data alone does no harm.
   */
  get isBound(): boolean {
    return this.backed.size > 0 || this.successors.size > 0 || this.lowerOpen > 0;
  }

  /** Those of them that the kernel may not need any more. */
  bound(): number[] {
    return [...this.backed, ...this.successors.keys()];
  }

  /** A row is freed: returns its successor, which may not be needed any more, or 0. */
  forget(node: number): number {
    if (this.mappable.size > 0) this.mappable.delete(node);
    if (this.backed.size > 0) this.backed.delete(node);
    const successor = this.successors.size > 0 ? this.successor(node) : 0;
    if (successor === 0) return 0;
    this.successors.delete(node);
    const left = (this.predecessors.get(successor) ?? 1) - 1;
    if (left === 0) this.predecessors.delete(successor);
    else this.predecessors.set(successor, left);
    return successor;
  }
}
