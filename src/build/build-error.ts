import { StoreError } from "../store/error.js";

/** Where in which file something stands, for messages. Lines are counted from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  /** The instruction as it is written. */
  readonly source: string;
}

/** A build cannot go on: `Dockerfile:7: RUN make: exit code 2`. */
export class BuildError extends StoreError {
  override readonly name = "BuildError";

  constructor({ file, line, source }: Place, why: string, options?: ErrorOptions) {
    super(`${file}:${line}: ${shortened(source)}: ${why}`, options);
  }
}

/** An instruction on one line, as long as a line may be. */
export function shortened(source: string, length = 60): string {
  const line = source.replace(/\s+/g, " ").trim();
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}

/** Does something for an instruction: what goes wrong is said with its place. */
export function at<T>(place: Place, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw placed(place, error);
  }
}

/** The same for what takes time. */
export async function atAsync<T>(place: Place, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw placed(place, error);
  }
}

function placed(place: Place, error: unknown): unknown {
  if (!(error instanceof StoreError) || error instanceof BuildError) return error;
  return new BuildError(place, error.message, { cause: error });
}
