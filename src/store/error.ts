/** Something did not work, or was asked wrongly: the message is one line for the user, with the path or name and what to do. Exit code 1. */
export class StoreError extends Error {
  override readonly name: string = "StoreError";
}

/** What was asked for does not exist; commands that remove with `--force` pass over it. */
export class NotFoundError extends StoreError {
  override readonly name = "NotFoundError";
}
