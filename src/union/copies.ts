/** Copy-ups whose data a job is copying: which node, into which temporary, or into which metacopy. */
import type { Pending } from "./pending-mark.js";
import type { UnsyncedFile } from "./unsynced.js";

/** What a metacopy was before its data is copied into it. `covers`: 0 if that is synced before it counts. */
export interface Completion extends Pending {
  /** Only a part of the data is wanted: the file is truncated. */
  readonly cut: boolean;
}

export interface Copy {
  readonly job: number;
  readonly node: number;
  /** Name in the work directory. */
  readonly temporary: string;
  /** Descriptor of the temporary, open for writing. */
  readonly fd: number;
  /** STORED if the temporary says of what it is a copy, see publish.ts; otherwise 0. */
  readonly stored: number;
  /** It is published before it is synced; null for a copy that is synced first, and for one into a metacopy. */
  readonly unsynced: UnsyncedFile | null;
  /** The node is gone, or its name: the copy is thrown away. */
  abandoned: boolean;
  /** null: a copy of a lower file. */
  readonly completes: Completion | null;
}

export class Copies {
  readonly byNode = new Map<number, Copy>();
  private readonly byJob = new Map<number, Copy>();
  private next = 1;

  /** The id for the next job. */
  newJob(): number {
    return this.next++;
  }

  add(copy: Copy): void {
    this.byNode.set(copy.node, copy);
    this.byJob.set(copy.job, copy);
  }

  /** Takes the copy that a job made out of the books. */
  take(job: number): Copy | undefined {
    const copy = this.byJob.get(job);
    if (copy === undefined) return undefined;
    this.byJob.delete(job);
    if (this.byNode.get(copy.node) === copy) this.byNode.delete(copy.node);
    return copy;
  }

  abandon(node: number): void {
    const copy = this.byNode.get(node);
    if (copy === undefined) return;
    copy.abandoned = true;
    this.byNode.delete(node);
  }
}
