import type { RootView } from "./root-view.js";
import { StartError } from "./start-error.js";

export const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where the shell's codes for what cannot be executed come from: a name that leads nowhere, and a file that is no program. */
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;

/**
 * The path, in the container, of the program that a word means: as execvp(3) looks for it. A relative path with a slash starts at the
 * working directory. Throws StartError with Docker's exit codes, so that each runtime says the same.
 */
export function findProgram(view: RootView, word: string, env: readonly string[], workingDirectory: string): string {
  const failed = (why: string, code: number): StartError =>
    new StartError(`exec: ${JSON.stringify(word)}: ${why}`, code);
  if (word === "") throw failed("no command is given", EXIT_NOT_FOUND);
  const absolute = (path: string): string => (path.startsWith("/") ? path : `${workingDirectory}/${path}`);
  if (word.includes("/")) {
    const stat = view.stat(absolute(word));
    if (stat === undefined) throw failed("no such file or directory", EXIT_NOT_FOUND);
    if (stat.isDirectory) throw failed("is a directory", EXIT_NOT_EXECUTABLE);
    if (!isExecutable(stat)) throw failed("permission denied", EXIT_NOT_EXECUTABLE);
    return word;
  }
  const path = env.findLast((one) => one.startsWith("PATH="))?.slice("PATH=".length) ?? defaultPath;
  let found = false;
  for (const directory of path.split(":")) {
    const candidate = `${directory === "" ? workingDirectory : absolute(directory)}/${word}`;
    const stat = view.stat(candidate);
    if (stat === undefined) continue;
    if (isExecutable(stat)) return candidate;
    found ||= stat.isRegular;
  }
  if (found) throw failed("permission denied", EXIT_NOT_EXECUTABLE);
  throw failed("executable file not found in $PATH", EXIT_NOT_FOUND);
}

function isExecutable(stat: { isRegular: boolean; mode: number }): boolean {
  return stat.isRegular && (stat.mode & 0o111) !== 0;
}
