/**
 * A user wants the command to end (Ctrl-C). What takes long looks here, or is told by the signal, and fails; what it had begun is undone as after
 * any failure. The command line decides whose signals mean that: see `cli/orderly.ts`.
 */
import { setMaxListeners } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { StoreError } from "./error.js";

const controller = new AbortController();
// As many as work at once.
setMaxListeners(0, controller.signal);

/** Aborted when the user wants an end; then nothing else is begun. */
export const interruption: AbortSignal = controller.signal;

/** Says that the user wants an end; `why` is thrown where something ends for it. */
export function interrupt(why: Error = new StoreError("interrupted")): void {
  controller.abort(why);
}

/** Throws StoreError if the user wants an end. */
export function checkInterruption(): void {
  interruption.throwIfAborted();
}

/** What a source gives, until an interruption, whatever it waits for then. Throws StoreError. */
export async function* interruptible<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  checkInterruption();
  const iterator = source[Symbol.asyncIterator]();
  const interrupted = new Promise<never>((_, reject) => {
    interruption.addEventListener("abort", () => reject(interruption.reason as Error), { once: true });
  });
  interrupted.catch(() => {});
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), interrupted]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // A stream that waits for a pipe ends only with the program.
    if (!interruption.aborted) await iterator.return?.();
  }
}

/** How long something synchronous works without looking whether a signal has come, in milliseconds. */
const patience = 50;

/**
 * For work that is synchronous, to be called between its steps: when the time has come to let signals in, a promise to be awaited. It throws
 * StoreError for an interruption.
 */
export function pauses(): () => Promise<void> | undefined {
  let next = performance.now() + patience;
  const pause = async (): Promise<void> => {
    await turn();
    checkInterruption();
    next = performance.now() + patience;
  };
  return () => (performance.now() < next ? undefined : pause());
}

/** Takes the steps of something that is synchronous, and lets signals in between. Throws StoreError for an interruption. */
export async function inSteps(steps: Iterable<void>): Promise<void> {
  const due = pauses();
  for (const _ of steps) {
    const pause = due();
    if (pause !== undefined) await pause;
  }
}
