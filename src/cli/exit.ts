/** How the program ends: exit codes, and the two kinds of failure with a message for the user. */
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
/** `cowfs run` failed by itself, in whatever way; other codes are the program's. */
export const EXIT_RUN_FAILED = 125;

/** Something did not work: one line for the user, exit code 1. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  readonly exitCode: number = EXIT_FAILURE;
}

/** The command line is wrong: one line for the user, exit code 2. */
export class UsageError extends CommandError {
  override readonly name = "UsageError";
  override readonly exitCode = EXIT_USAGE;
}

/** What to say about an exception: the message of an Error, on one line. */
export function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}

export function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, " ");
}

/** Why a system call failed, from Node's exception: without the call and the path, which the message around it names. */
export function systemReason(error: unknown): string {
  return messageOf(error).replace(/, \w+( '.*')?$/, "");
}

/** Says `cowfs: MESSAGE` on stderr. */
export function complain(message: string): void {
  process.stderr.write(`cowfs: ${message}\n`);
}

/** Writes to stdout. Whoever reads it may end early (`head`), and a disk may be full: then the program ends, with exit code 1. */
export function print(text: string | Uint8Array): void {
  const { stdout } = process;
  if (stdout.listenerCount("error") === 0) {
    stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") complain(`cannot write the output: ${systemReason(error)}`);
      process.exit(EXIT_FAILURE);
    });
  }
  stdout.write(text);
}
