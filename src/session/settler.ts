/** When copies that were published before they were synced are settled: some time after they were made, in the background. */
import { settleSome } from "../union/settle.js";
import type { Union } from "../union/union.js";

/**
 * Milliseconds from a copy until it is synced: as long as a journal waits for its commit, so that many small copies are synced
 * together, and what is removed soon never. So long a crash of the machine may take the copy, with what was written
 * to it and not synced, unless the disk has it already.
 */
const delay = 5000;

export class Settler {
  private timer: NodeJS.Timeout | undefined;
  private immediate: NodeJS.Immediate | undefined;

  constructor(private readonly union: Union) {}

  start(): void {
    const { unsynced } = this.union;
    unsynced.onAdded = () => (unsynced.isCrowded ? this.soon() : this.later());
    unsynced.onSynced = () => this.soon();
    if (unsynced.count > 0) this.later();
  }

  /** Nothing happens any more: the end of the union settles what is left. */
  stop(): void {
    const { unsynced } = this.union;
    unsynced.onAdded = () => {};
    unsynced.onSynced = () => {};
    clearTimeout(this.timer);
    clearImmediate(this.immediate);
  }

  private later(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.union.unsynced.allDue();
      this.step();
    }, delay);
  }

  private soon(): void {
    this.immediate ??= setImmediate(() => this.step());
  }

  private step(): void {
    const { unsynced } = this.union;
    clearImmediate(this.immediate);
    this.immediate = undefined;
    if (unsynced.isCrowded) unsynced.allDue();
    if (settleSome(this.union)) this.soon();
    else if (!unsynced.isSyncing && unsynced.anyWaits) this.later();
  }
}
