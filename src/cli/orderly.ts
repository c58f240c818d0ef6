import { signalExitCode } from "../assemble/signals.js";
import { interrupt } from "../store/interruption.js";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Does something that would leave half a file, a mount or a temporary if it were cut off. A signal that ends programs makes it fail where it is,
 * and ends this one when it has undone what it had begun; a second one does so at once.
 */
export async function orderly<T>(work: () => Promise<T>): Promise<T> {
  let first: NodeJS.Signals | undefined;
  const stop = (): void => {
    for (const signal of signals) process.removeListener(signal, listener);
  };
  const listener = (signal: NodeJS.Signals): void => {
    first = signal;
    stop();
    interrupt();
  };
  for (const signal of signals) process.on(signal, listener);
  try {
    return await work();
  } finally {
    stop();
    if (first !== undefined) {
      // As if nobody had looked after it: a shell ends its loop, too.
      process.kill(process.pid, first);
      process.exit(signalExitCode(first));
    }
  }
}
