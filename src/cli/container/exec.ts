import { isatty } from "node:tty";
import { execInContainer } from "../../assemble/exec.js";
import { StartError } from "../../assemble/start-error.js";
import { findContainer } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { complain, messageOf, UsageError } from "../exit.js";
import { environmentOf } from "./create-words.js";

export interface ExecWords {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly detach?: boolean;
  readonly env?: string[];
  readonly envFile?: string[];
  readonly workdir?: string;
  readonly user?: string;
}

/** `cowfs exec`. Returns the exit code of the program, or 126 or 127 where it cannot be executed. */
export async function execCommand(
  root: DataRoot,
  name: string,
  command: readonly string[],
  words: ExecWords,
): Promise<number> {
  if (words.tty === true && words.interactive === true && words.detach !== true && !isatty(0)) {
    throw new UsageError("the input device is not a terminal: leave out -t, or run in a terminal");
  }
  if (words.workdir?.startsWith("/") === false) {
    throw new UsageError(`the working directory ${words.workdir} is invalid: it must be absolute`);
  }
  try {
    return await execInContainer(root, findContainer(root, name), {
      args: command,
      env: environmentOf([], words.envFile, words.env),
      ...(words.user === undefined ? {} : { user: words.user }),
      ...(words.workdir === undefined ? {} : { workingDirectory: words.workdir }),
      terminal: words.tty === true,
      stdin: words.interactive === true,
      detached: words.detach === true,
    });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    complain(messageOf(error));
    return error.exitCode;
  }
}
