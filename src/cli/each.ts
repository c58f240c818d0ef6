import { StoreError } from "../store/error.js";
import { CommandError, complain, messageOf } from "./exit.js";

/** Does something for each word, and says what failed without stopping there. Returns the exit code: 1 if anything failed. */
export async function forEachWord(
  words: readonly string[],
  work: (word: string) => void | Promise<void>,
): Promise<number> {
  let code = 0;
  for (const word of words) {
    try {
      await work(word);
    } catch (error) {
      if (!(error instanceof StoreError || error instanceof CommandError)) throw error;
      complain(messageOf(error));
      code = 1;
    }
  }
  return code;
}
