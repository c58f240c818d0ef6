import { createInterface } from "node:readline";
import { oneLine } from "../exit.js";

/**
 * Warns, and asks whether to go on, as Docker's prune commands do; `y` or `yes` (in any case) is yes, everything else, the end of the input
 * too, is no. What is said goes to stderr, so that the output of the command stays what it is.
 */
export async function confirm(warning: string): Promise<boolean> {
  const input = createInterface({ input: process.stdin });
  process.stderr.write(`${warning.trimEnd()}\nAre you sure you want to continue? [y/N] `);
  try {
    for await (const line of input) return /^y(es)?$/i.test(oneLine(line));
    process.stderr.write("\n");
    return false;
  } finally {
    input.close();
    // Otherwise a terminal or pipe that nobody writes to keeps the program waiting.
    process.stdin.unref?.();
  }
}
