import { NOTIFY_DELETE, NOTIFY_INVAL_ENTRY, NOTIFY_INVAL_INODE, NOTIFY_PRUNE } from "./constants.js";

const two32 = 4294967296;
/** Node ids that fit into one message. */
export const prunedAtOnce = 60;

/**
 * A reusable writer of notifications: messages the driver sends by itself. Their header has unique 0 and the code in the
 * place of the error. Each method returns the length of the whole message in `bytes`.
 */
export class Notification {
  readonly bytes = Buffer.from(new ArrayBuffer(512));
  private readonly words = new Uint32Array(this.bytes.buffer);

  private header(code: number, length: number): number {
    this.words[0] = length;
    this.words[1] = code;
    this.words[2] = 0;
    this.words[3] = 0;
    return length;
  }

  private u64(at: number, value: number): void {
    const low = value % two32;
    this.words[at >>> 2] = low < 0 ? low + two32 : low;
    this.words[(at >>> 2) + 1] = Math.floor(value / two32);
  }

  private name(at: number, name: string): number {
    const end = at + this.bytes.latin1Write(name, at);
    this.bytes[end] = 0;
    return end + 1;
  }

  /** Attributes of a node are stale, and its pages from `offset`: `length` 0 for all, a negative `offset` for none. */
  invalInode(nodeid: number, offset: number, length: number): number {
    this.u64(16, nodeid);
    this.u64(24, offset);
    this.u64(32, length);
    return this.header(NOTIFY_INVAL_INODE, 40);
  }

  /** A name in a directory is stale. `flags`: NOTIFY_EXPIRE_ONLY or 0. */
  invalEntry(parent: number, name: string, flags: number): number {
    this.u64(16, parent);
    this.words[6] = name.length;
    this.words[7] = flags;
    return this.header(NOTIFY_INVAL_ENTRY, this.name(32, name));
  }

  /** A name is gone, and so is the object if it was `child` (inotify watchers are told). */
  delete(parent: number, child: number, name: string): number {
    this.u64(16, parent);
    this.u64(24, child);
    this.words[8] = name.length;
    this.words[9] = 0;
    return this.header(NOTIFY_DELETE, this.name(40, name));
  }

  /** Nodes, at most `prunedAtOnce`, that the kernel may forget if nobody uses them. */
  prune(nodes: readonly number[]): number {
    this.words[4] = nodes.length;
    this.words[5] = 0;
    this.words[6] = 0;
    this.words[7] = 0;
    let at = 32;
    for (const node of nodes) {
      this.u64(at, node);
      at += 8;
    }
    return this.header(NOTIFY_PRUNE, 32 + nodes.length * 8);
  }
}
