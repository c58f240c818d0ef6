/** Changes of an image's configuration, written as instructions of a Dockerfile: `CMD ["sh"]`, `ENV A=1 B="two words"`. */
import { StoreError } from "./error.js";
import type { ImageRunConfig } from "./records.js";

/** A configuration that is being changed. */
type Draft = { -readonly [Key in keyof ImageRunConfig]: ImageRunConfig[Key] };

/** How the text of an instruction becomes words: whoever builds an image puts values in the place of variables meanwhile. */
export interface WordReader {
  /** The words of a line; quotes and backslashes keep blanks together. Throws StoreError. */
  words(text: string): string[];
  /** The text as one word. Throws StoreError. */
  word(text: string): string;
}

const plainReader: WordReader = { words: plainWords, word: (text) => text };

type Instruction = (draft: Draft, rest: string, read: WordReader) => void;

const instructions: Readonly<Record<string, Instruction>> = {
  CMD: (draft, rest) => {
    draft.Cmd = command(draft, rest);
  },
  ENTRYPOINT: (draft, rest) => {
    draft.Entrypoint = command(draft, rest);
  },
  ENV: (draft, rest, read) => {
    const variables = new Map((draft.Env ?? []).map((one) => [one.slice(0, one.indexOf("=")), one]));
    for (const [name, value] of pairs(rest, "ENV", read)) variables.set(name, `${name}=${value}`);
    draft.Env = [...variables.values()];
  },
  EXPOSE: (draft, rest, read) => {
    const ports = words(rest, "EXPOSE", read).flatMap((word) => word.split(/\s+/).flatMap(portsOf));
    draft.ExposedPorts = { ...draft.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
  },
  LABEL: (draft, rest, read) => {
    draft.Labels = { ...draft.Labels, ...Object.fromEntries(pairs(rest, "LABEL", read)) };
  },
  SHELL: (draft, rest) => {
    const shell = jsonStrings(rest);
    if (shell === undefined || shell.length === 0)
      throw new StoreError('SHELL takes a list, such as ["/bin/sh", "-c"]');
    draft.Shell = shell;
  },
  STOPSIGNAL: (draft, rest, read) => {
    draft.StopSignal = single(rest, "STOPSIGNAL", read);
  },
  USER: (draft, rest, read) => {
    draft.User = single(rest, "USER", read);
  },
  VOLUME: (draft, rest, read) => {
    const paths = jsonStrings(rest)?.map((path) => read.word(path)) ?? words(rest, "VOLUME", read);
    for (const path of paths) {
      if (!path.startsWith("/"))
        throw new StoreError(`VOLUME takes absolute paths, and ${JSON.stringify(path)} is none`);
    }
    draft.Volumes = { ...draft.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
  },
  WORKDIR: (draft, rest, read) => {
    const path = single(rest, "WORKDIR", read);
    const from = draft.WorkingDir || "/";
    draft.WorkingDir = path.startsWith("/") ? path : `${from.replace(/\/$/, "")}/${path}`;
  },
};

/** The configuration with changes made to it, in their order. Throws StoreError that names what is wrong. */
export function applyChanges(config: ImageRunConfig | undefined, changes: readonly string[]): ImageRunConfig {
  const draft: Draft = { ...config };
  for (const change of changes) {
    const match = /^\s*([A-Za-z]+)(?:\s+([\s\S]*))?$/.exec(change);
    const name = match?.[1]?.toUpperCase() ?? "";
    if (!isChange(name)) {
      throw new StoreError(
        `${JSON.stringify(change)} is no change: it begins with one of ${Object.keys(instructions).join(", ")}`,
      );
    }
    instructions[name]?.(draft, (match?.[2] ?? "").trim(), plainReader);
  }
  return draft;
}

/** Whether an instruction, in capitals, changes the configuration and nothing else. */
export function isChange(name: string): boolean {
  return Object.hasOwn(instructions, name);
}

/** The configuration with one change made to it, of which `isChange` is true. Throws StoreError that says what is wrong with `rest`. */
export function applyChange(config: ImageRunConfig, name: string, rest: string, read: WordReader): ImageRunConfig {
  const draft: Draft = { ...config };
  instructions[name]?.(draft, rest, read);
  return draft;
}

/** A list of words, or a line for the shell. Nothing takes away what was there. */
function command(draft: Draft, rest: string): string[] {
  const list = jsonStrings(rest);
  if (list !== undefined) return list;
  return rest === "" ? [] : [...(draft.Shell ?? ["/bin/sh", "-c"]), rest];
}

/** A list of strings in JSON, or undefined for any other text. */
export function jsonStrings(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
  } catch {
    // A line for the shell may begin so too.
    return undefined;
  }
}

function single(rest: string, name: string, read: WordReader): string {
  const [value, ...more] = words(rest, name, read);
  if (value === undefined || more.length > 0) throw new StoreError(`${name} takes one word`);
  return value;
}

/** `NAME=VALUE …`, or one `NAME VALUE`. */
function pairs(rest: string, name: string, read: WordReader): [string, string][] {
  const all = words(rest, name, read);
  const [first = ""] = all;
  if (!first.includes("=")) {
    const value = rest.slice(rest.search(/\s/) + 1).trim();
    if (all.length < 2) throw new StoreError(`${name} takes NAME=VALUE`);
    return [[first, read.word(value)]];
  }
  return all.map((word) => {
    const equals = word.indexOf("=");
    if (equals <= 0) throw new StoreError(`${name} takes NAME=VALUE, and ${JSON.stringify(word)} is none`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

/** Throws StoreError if there are none. */
function words(rest: string, name: string, read: WordReader): string[] {
  const all = read.words(rest);
  if (all.length === 0) throw new StoreError(`${name} takes a value`);
  return all;
}

/** The words of a line; quotes and backslashes keep blanks together, as in a Dockerfile. */
function plainWords(rest: string): string[] {
  const all: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < rest.length; at++) {
    const letter = rest[at] as string;
    if (letter === "\\" && quote !== "'" && at + 1 < rest.length) {
      at++;
      word = (word ?? "") + (rest[at] as string);
    } else if (quote !== "") {
      if (letter === quote) quote = "";
      else word = (word ?? "") + letter;
    } else if (letter === '"' || letter === "'") {
      quote = letter;
      word ??= "";
    } else if (/\s/.test(letter)) {
      if (word !== undefined) all.push(word);
      word = undefined;
    } else word = (word ?? "") + letter;
  }
  if (quote !== "") throw new StoreError("a quote is not closed");
  if (word !== undefined) all.push(word);
  return all;
}

function portsOf(word: string): string[] {
  const match = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(word);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > 65535 || last < first) {
    throw new StoreError(`EXPOSE takes PORT[-PORT][/tcp|udp|sctp], and ${JSON.stringify(word)} is none`);
  }
  const protocol = (match[3] ?? "tcp").toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}
