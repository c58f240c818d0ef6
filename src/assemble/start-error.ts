import { StoreError } from "../store/error.js";

/** A container did not start: Docker's exit code is 125 if cowfs or the runtime failed, 126 and 127 if its program cannot be executed. */
export class StartError extends StoreError {
  override readonly name = "StartError";

  constructor(
    message: string,
    readonly exitCode: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
