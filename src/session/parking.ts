import { readFileSync } from "node:fs";
import type { Request } from "../protocol/request.js";

/** How often a request that a signal interrupted is looked at again, in milliseconds. */
const recheck = 100;

/**
 * Whether a thread is being killed, from the text of its /proc/TID/status. A signal that ends a process is pending as
 * SIGKILL in each of its threads, whatever its number was; SigPnd and ShdPnd are hexadecimal masks, signal 1 in bit 0.
 */
export function isKilled(status: string): boolean {
  for (const match of status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)) {
    // SIGKILL is 9: the low bit of the third hexadecimal digit from the end.
    if ((Number.parseInt((match[1] as string).slice(-3), 16) & 0x100) !== 0) return true;
  }
  return false;
}

function isThreadKilled(tid: number): boolean {
  try {
    return isKilled(readFileSync(`/proc/${tid}/status`, "latin1"));
  } catch {
    // Gone, or in no pid namespace of ours: nobody we could disappoint.
    return true;
  }
}

/**
 * Requests that wait for a job. An interrupted one is given up only if its caller is being killed: a program that merely
 * gets a signal must not see EINTR from a file on a disk (chmod, ftruncate and their like never return it there).
 */
export class Parking {
  private readonly byJob = new Map<number, Request[]>();
  private readonly interrupted = new Set<Request>();
  private timer: NodeJS.Timeout | undefined;

  /** `giveUp` answers a request EINTR; `killed` says whether a thread is about to end. */
  constructor(
    private readonly giveUp: (request: Request) => void,
    private readonly killed: (tid: number) => boolean = isThreadKilled,
  ) {}

  /** Requests that wait. */
  get count(): number {
    let count = 0;
    for (const waiting of this.byJob.values()) count += waiting.length;
    return count;
  }

  /** Keeps `request`, whose bytes must be its own, until `take(job)`. */
  park(job: number, request: Request): void {
    const waiting = this.byJob.get(job);
    if (waiting === undefined) this.byJob.set(job, [request]);
    else waiting.push(request);
  }

  /** The requests that waited for a job, in the order they came. */
  take(job: number): readonly Request[] {
    const waiting = this.byJob.get(job) ?? [];
    this.byJob.delete(job);
    for (const request of waiting) this.interrupted.delete(request);
    return waiting;
  }

  /** The kernel interrupts the request with this unique, if it waits here. */
  interrupt(uniqueLow: number, uniqueHigh: number): void {
    for (const waiting of this.byJob.values()) {
      const request = waiting.find((one) => one.uniqueLow === uniqueLow && one.uniqueHigh === uniqueHigh);
      if (request === undefined) continue;
      this.interrupted.add(request);
      this.checkInterrupted();
      return;
    }
  }

  /** Gives up the interrupted requests of dying callers; looks again later while there are others. */
  checkInterrupted(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const request of this.interrupted) {
      if (!this.killed(request.pid)) continue;
      this.interrupted.delete(request);
      this.remove(request);
      this.giveUp(request);
    }
    if (this.interrupted.size > 0) {
      this.timer = setTimeout(() => this.checkInterrupted(), recheck);
      this.timer.unref();
    }
  }

  private remove(request: Request): void {
    for (const [job, waiting] of this.byJob) {
      const at = waiting.indexOf(request);
      if (at < 0) continue;
      // The list stays, even empty: the job still ends.
      waiting.splice(at, 1);
      if (waiting.length === 0) this.byJob.delete(job);
      return;
    }
  }

  /** The session ends: forgets everything. */
  clear(): void {
    clearTimeout(this.timer);
    this.byJob.clear();
    this.interrupted.clear();
  }
}
