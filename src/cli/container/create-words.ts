import { readFileSync } from "node:fs";
import { reason } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import type { ImageRunConfig } from "../../store/records.js";
import { UsageError } from "../exit.js";

/** What commander makes of the options of `create` and `run`. */
export interface CreateWords {
  readonly name?: string;
  readonly env?: string[];
  readonly envFile?: string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly readOnly?: boolean;
  readonly hostname?: string;
  readonly label?: string[];
  readonly stopSignal?: string;
  readonly volume?: string[];
  readonly mount?: string[];
  readonly tmpfs?: string[];
  readonly volumesFrom?: string[];
  readonly volumeDriver?: string;
  readonly storageOpt?: string[];
  readonly runtime?: string;
  readonly driver?: string;
  readonly network?: string;
  readonly init?: boolean;
  readonly rm?: boolean;
  readonly interactive?: boolean;
  readonly tty?: boolean;
}

/** Entry point and command together. A new entry point takes the image's command with it. Throws UsageError if nothing is left. */
export function commandOf(
  config: ImageRunConfig,
  entrypoint: string | undefined,
  words: readonly string[],
): { args: string[]; entrypointLength: number } {
  const entry = entrypoint === undefined ? (config.Entrypoint ?? []) : entrypoint === "" ? [] : [entrypoint];
  const command = words.length > 0 ? words : entrypoint === undefined ? (config.Cmd ?? []) : [];
  const args = [...entry, ...command];
  if (args.length === 0) throw new UsageError("no command specified: the image has none, write one after its name");
  return { args, entrypointLength: entry.length };
}

/** The lines of a file of `NAME=VALUE` and `NAME`; those that begin with # are none. Throws StoreError. */
function linesOf(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new StoreError(`the file of variables ${path} cannot be read: ${reason(cause)}`, { cause });
  }
  return text
    .split("\n")
    .map((line) => line.replace(/\r$/, "").trimStart())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/**
 * The image's variables, changed by files and then by words. `NAME` alone is this process's own value; if it has none, the variable is
 * taken away. Throws StoreError, UsageError.
 */
export function environmentOf(
  image: readonly string[],
  files: readonly string[] = [],
  words: readonly string[] = [],
): string[] {
  const env = new Map<string, string>();
  for (const variable of image) env.set(variable.split("=", 1)[0] ?? "", variable);
  for (const word of [...files.flatMap(linesOf), ...words]) {
    const name = word.split("=", 1)[0] ?? "";
    if (name === "") throw new UsageError(`invalid environment variable: ${word}: write NAME=VALUE or NAME`);
    const own = process.env[name];
    if (word.includes("=")) env.set(name, word);
    else if (own === undefined) env.delete(name);
    else env.set(name, `${name}=${own}`);
  }
  return [...env.values()];
}

/** `KEY=VALUE` and `KEY` words over the labels of the image. */
export function labelsOf(
  image: Readonly<Record<string, string>> | null | undefined,
  words: readonly string[] = [],
): Record<string, string> {
  const labels = words.map((word): [string, string] => {
    const [key = "", ...rest] = word.split("=");
    if (key === "") throw new UsageError(`invalid label: ${word}: write KEY=VALUE or KEY`);
    return [key, rest.join("=")];
  });
  return { ...image, ...Object.fromEntries(labels) };
}

/** Throws UsageError for what sethostname(2) would refuse. */
export function hostnameOf(word: string | undefined, id: string): string {
  if (word === undefined) return id.slice(0, 12);
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(word)) {
    throw new UsageError(`invalid hostname ${JSON.stringify(word)}: up to 64 letters, digits and . - _`);
  }
  return word;
}
