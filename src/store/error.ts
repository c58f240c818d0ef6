/** Something did not work, or was asked wrongly: the message is one line for the user, with the path or name and what to do. Exit code 1. */
export class StoreError extends Error {
  override readonly name: string = "StoreError";
}

/** What was asked for does not exist; commands that remove with `--force` pass over it. */
export class NotFoundError extends StoreError {
  override readonly name = "NotFoundError";
}

/**
 * Undoes what had been done before `error`, and throws that. If the undoing fails too, the first error is the one that counts, and its message
 * says what is left.
 */
export async function undoAfter(error: unknown, undo: () => void | Promise<void>): Promise<never> {
  try {
    await undo();
  } catch (second) {
    const say = (one: unknown): string => (one instanceof Error ? one.message : String(one));
    throw new StoreError(`${say(error)}; moreover ${say(second)}`, { cause: error });
  }
  throw error;
}
