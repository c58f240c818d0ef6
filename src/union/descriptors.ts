/**
 * An LRU of open descriptors, so that the number of known objects does not depend on the limit of open files. The list is
 * threaded through arrays indexed by the descriptor itself. Pinned descriptors (of nameless nodes) are not in it.
 */
import { EMFILE, ENFILE, ignore } from "../errno.js";
import { native } from "../native/index.js";

/** Told that a descriptor is gone: `layer` as given to `keep` (a directory's part), FILE for a file's data, SOURCE for that of a metacopy. */
export type Evicted = (node: number, layer: number, fd: number) => void;

export const FILE = -1;
export const SOURCE = -2;

const END = 0;
const KEPT_AT_LEAST = 32;

export class Descriptors {
  private nodes = new Uint32Array(1024);
  private layers = new Int16Array(1024);
  /** Neighbours, as descriptor + 1 (0: the end of the list). */
  private newer = new Uint32Array(1024);
  private older = new Uint32Array(1024);
  private newest = END;
  private oldest = END;
  private held = 0;
  private pinned = 0;

  /** `limit`: how many may be open; at least 64 more must be free for work and jobs. */
  constructor(
    readonly limit: number,
    private readonly evicted: Evicted,
  ) {}

  get count(): number {
    return this.held + this.pinned;
  }

  /** Whether a nameless node, which the kernel may have forgotten without our knowing yet, keeps a descriptor and so its blocks. */
  get hasPinned(): boolean {
    return this.pinned > 0;
  }

  /** Takes over an open descriptor; the least recently used one is closed if there are too many. */
  keep(fd: number, node: number, layer: number): void {
    if (fd >= this.nodes.length) this.growTo(fd);
    this.nodes[fd] = node;
    this.layers[fd] = layer;
    this.pushNewest(fd);
    this.held++;
    this.trim();
  }

  /** One more descriptor is open outside of the list: the list must be shorter by it. */
  pin(): void {
    this.pinned++;
    this.trim();
  }

  /** One of those is closed, or comes into the list. */
  unpin(): void {
    this.pinned--;
  }

  /** An operation uses several descriptors at once: that many always stay. */
  private trim(): void {
    while (this.held > KEPT_AT_LEAST && this.held + this.pinned > this.limit) this.evictOldest();
  }

  /** Marks a kept descriptor as just used. */
  touch(fd: number): void {
    if (this.newest === fd + 1) return;
    this.unlink(fd);
    this.pushNewest(fd);
  }

  /** Closes a kept descriptor; the owner has forgotten it already. */
  drop(fd: number): void {
    this.release(fd);
    ignore(native.close(fd), "whatever was written through it was answered when it was written");
  }

  /** Takes a kept descriptor out of the list without closing it. */
  release(fd: number): void {
    this.unlink(fd);
    this.held--;
  }

  /**
   * After a failed open: whether descriptors were freed, so that trying again makes sense. True only for EMFILE and
   * ENFILE, and while there is something to free.
   */
  makeRoom(result: number): boolean {
    if ((result !== -EMFILE && result !== -ENFILE) || this.held <= KEPT_AT_LEAST) return false;
    const target = this.held >> 1;
    while (this.held > target) this.evictOldest();
    return true;
  }

  /** Closes all of them: the union ends. */
  clear(): void {
    while (this.held > 0) this.evictOldest();
  }

  private evictOldest(): void {
    const fd = this.oldest - 1;
    this.evicted(this.nodes[fd] as number, this.layers[fd] as number, fd);
    this.drop(fd);
  }

  private pushNewest(fd: number): void {
    this.newer[fd] = END;
    this.older[fd] = this.newest;
    if (this.newest !== END) this.newer[this.newest - 1] = fd + 1;
    else this.oldest = fd + 1;
    this.newest = fd + 1;
  }

  private unlink(fd: number): void {
    const newer = this.newer[fd] as number;
    const older = this.older[fd] as number;
    if (newer !== END) this.older[newer - 1] = older;
    else this.newest = older;
    if (older !== END) this.newer[older - 1] = newer;
    else this.oldest = newer;
  }

  private growTo(fd: number): void {
    const size = 2 ** Math.ceil(Math.log2(fd + 1));
    const copy = <T extends Uint32Array | Int16Array>(old: T, bigger: T): T => {
      bigger.set(old);
      return bigger;
    };
    this.nodes = copy(this.nodes, new Uint32Array(size));
    this.layers = copy(this.layers, new Int16Array(size));
    this.newer = copy(this.newer, new Uint32Array(size));
    this.older = copy(this.older, new Uint32Array(size));
  }
}
