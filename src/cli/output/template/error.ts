import { UsageError } from "../../exit.js";

/** A template of `--format` that cannot be read, or asks for what is not there. */
export class TemplateError extends UsageError {
  constructor(message: string, options?: ErrorOptions) {
    super(`--format: ${message}`);
    if (options?.cause !== undefined) this.cause = options.cause;
  }
}
