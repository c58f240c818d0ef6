import type { Reply } from "../protocol/reply.js";
import type { DirSink } from "../union/ops/readdir.js";
import type { Union } from "../union/union.js";

/** Packs directory entries into the reply as the union finds them; lives as long as the session. */
export class ReplySink implements DirSink {
  private limit = 0;
  private plus = false;
  /** Entries added since `start`. */
  count = 0;

  constructor(
    private readonly reply: Reply,
    private readonly union: Union,
  ) {}

  /** The reply is empty; it may take `size` bytes of entries. */
  start(size: number, plus: boolean): void {
    this.limit = this.reply.length + Math.min(size, this.reply.room);
    this.plus = plus;
    this.count = 0;
  }

  fits(name: string): boolean {
    return this.reply.direntFits(name.length, this.plus, this.limit);
  }

  add(name: string, type: number, inoLow: number, inoHigh: number, next: number, nodeid: number): void {
    this.count++;
    if (!this.plus) {
      this.reply.dirent(name, type, inoLow, inoHigh, next);
      return;
    }
    this.reply.trusted = nodeid === 0 || this.union.openFiles.trusts(nodeid);
    const generation = nodeid === 0 ? 0 : this.union.generation(nodeid);
    this.reply.direntPlus(name, type, inoLow, inoHigh, next, nodeid, generation, this.union.stat.words);
  }
}
