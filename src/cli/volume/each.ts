import { interruption } from "../../store/interruption.js";
import { complain, EXIT_FAILURE, messageOf } from "../exit.js";

/** Does something with each name, until an interruption; what fails is said, and the others are done. Returns the exit code. */
export async function forEachName(
  names: readonly string[],
  work: (name: string) => void | Promise<void>,
): Promise<number> {
  let code = 0;
  for (const name of names) {
    if (interruption.aborted) return EXIT_FAILURE;
    try {
      await work(name);
    } catch (error) {
      complain(messageOf(error));
      code = EXIT_FAILURE;
    }
  }
  return code;
}
