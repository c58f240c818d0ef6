/** Changes of an image's configuration, written as instructions of a Dockerfile: `CMD ["sh"]`, `ENV A=1 B="two words"`. */
import { StoreError } from "./error.js";
import type { ImageRunConfig } from "./records.js";

/** A configuration that is being changed. */
type Draft = { -readonly [Key in keyof ImageRunConfig]: ImageRunConfig[Key] };

type Instruction = (draft: Draft, rest: string) => void;

const instructions: Readonly<Record<string, Instruction>> = {
  CMD: (draft, rest) => {
    draft.Cmd = command(draft, rest);
  },
  ENTRYPOINT: (draft, rest) => {
    draft.Entrypoint = command(draft, rest);
  },
  ENV: (draft, rest) => {
    const variables = new Map((draft.Env ?? []).map((one) => [one.slice(0, one.indexOf("=")), one]));
    for (const [name, value] of pairs(rest, "ENV")) variables.set(name, `${name}=${value}`);
    draft.Env = [...variables.values()];
  },
  EXPOSE: (draft, rest) => {
    const ports = words(rest, "EXPOSE").flatMap(portsOf);
    draft.ExposedPorts = { ...draft.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
  },
  LABEL: (draft, rest) => {
    draft.Labels = { ...draft.Labels, ...Object.fromEntries(pairs(rest, "LABEL")) };
  },
  SHELL: (draft, rest) => {
    const shell = jsonStrings(rest);
    if (shell === undefined || shell.length === 0)
      throw new StoreError('SHELL takes a list, such as ["/bin/sh", "-c"]');
    draft.Shell = shell;
  },
  STOPSIGNAL: (draft, rest) => {
    draft.StopSignal = single(rest, "STOPSIGNAL");
  },
  USER: (draft, rest) => {
    draft.User = single(rest, "USER");
  },
  VOLUME: (draft, rest) => {
    const paths = jsonStrings(rest) ?? words(rest, "VOLUME");
    for (const path of paths) {
      if (!path.startsWith("/"))
        throw new StoreError(`VOLUME takes absolute paths, and ${JSON.stringify(path)} is none`);
    }
    draft.Volumes = { ...draft.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
  },
  WORKDIR: (draft, rest) => {
    const path = single(rest, "WORKDIR");
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
    const instruction = Object.hasOwn(instructions, name) ? instructions[name] : undefined;
    if (instruction === undefined) {
      throw new StoreError(
        `${JSON.stringify(change)} is no change: it begins with one of ${Object.keys(instructions).join(", ")}`,
      );
    }
    instruction(draft, (match?.[2] ?? "").trim());
  }
  return draft;
}

/** A list of words, or a line for the shell. Nothing takes away what was there. */
function command(draft: Draft, rest: string): string[] {
  const list = jsonStrings(rest);
  if (list !== undefined) return list;
  return rest === "" ? [] : [...(draft.Shell ?? ["/bin/sh", "-c"]), rest];
}

function jsonStrings(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
  } catch {
    // A line for the shell may begin so too.
    return undefined;
  }
}

function single(rest: string, name: string): string {
  const [value, ...more] = words(rest, name);
  if (value === undefined || more.length > 0) throw new StoreError(`${name} takes one word`);
  return value;
}

/** `NAME=VALUE …`, or one `NAME VALUE`. */
function pairs(rest: string, name: string): [string, string][] {
  const all = words(rest, name);
  const [first = ""] = all;
  if (!first.includes("=")) {
    const value = rest.slice(rest.search(/\s/) + 1).trim();
    if (all.length < 2) throw new StoreError(`${name} takes NAME=VALUE`);
    return [[first, value]];
  }
  return all.map((word) => {
    const equals = word.indexOf("=");
    if (equals <= 0) throw new StoreError(`${name} takes NAME=VALUE, and ${JSON.stringify(word)} is none`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

/** The words of a line; quotes and backslashes keep blanks together, as in a Dockerfile. Throws StoreError if there are none. */
function words(rest: string, name: string): string[] {
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
  if (quote !== "") throw new StoreError(`${name}: a quote is not closed`);
  if (word !== undefined) all.push(word);
  if (all.length === 0) throw new StoreError(`${name} takes a value`);
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
