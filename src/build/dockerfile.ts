/** A Dockerfile as a list of statements: their lines joined, comments gone, flags and here-documents parted from the rest. */
import { DockerfileParser, type Heredoc as HeredocNode, type Instruction } from "dockerfile-ast";
import { StoreError } from "../store/error.js";
import { BuildError, type Place } from "./build-error.js";

/** `<<NAME` and what stands up to a line NAME. */
export interface Heredoc {
  readonly name: string;
  readonly content: string;
  /** Variables in it have their values put in, by the builder or the shell; not so if the name is quoted. */
  readonly expands: boolean;
  /** What the content stands between, as it is written. */
  readonly text: string;
}

export interface Statement extends Place {
  /** In capitals. */
  readonly keyword: string;
  /** `--NAME` and `--NAME=VALUE` before the rest, in their order. */
  readonly flags: readonly (readonly [name: string, value: string | undefined])[];
  /** What stands behind keyword and flags, on one line. */
  readonly rest: string;
  readonly heredocs: readonly Heredoc[];
}

export interface Dockerfile {
  readonly statements: readonly Statement[];
  /** `\`, or what a directive `# escape=` says. */
  readonly escapeChar: string;
}

const keywords = [
  ...[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
  ],
  ...["RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"],
];
const withFlags = new Set(["ADD", "COPY", "FROM", "HEALTHCHECK", "RUN"]);
const withHeredocs = new Set(["ADD", "COPY", "RUN"]);

/** Throws BuildError for an instruction that there is not, and one without what it needs; `file` is what the file is called in messages. */
export function parseDockerfile(text: string, file: string): Dockerfile {
  const parsed = DockerfileParser.parse(text.replace(/^\ufeff/, ""));
  const escapeChar = parsed.getEscapeCharacter();
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  const statements = parsed.getInstructions().map((node) => statementOf(node, lines, escapeChar, file));
  if (statements.length === 0) throw new StoreError(`${file} has no instructions: it begins with FROM IMAGE`);
  return { statements, escapeChar };
}

/** An instruction that stands within another one (ONBUILD), or in an image; it has the place of that one. */
export function parseNested(text: string, escapeChar: string, place: Place): Statement {
  const [node, ...more] = DockerfileParser.parse(`# escape=${escapeChar}\n${text}`).getInstructions();
  if (node === undefined || more.length > 0)
    throw new BuildError(place, `one instruction must stand in it, not ${text}`);
  const nested = statementOf(node, [`# escape=${escapeChar}`, ...text.split("\n")], escapeChar, place.file);
  return { ...nested, line: place.line };
}

function statementOf(node: Instruction, lines: readonly string[], escapeChar: string, file: string): Statement {
  const keyword = node.getKeyword();
  const { whole, count } = joined(node.getTextContent(), escapeChar);
  const start = node.getRange().start.line;
  const place: Place = { file, line: start + 1, source: whole };
  if (!keywords.includes(keyword)) {
    throw new BuildError(place, `${keyword} is no instruction: there are ${keywords.join(", ")}`);
  }
  const { flags, rest } = withFlags.has(keyword)
    ? flagsOf(whole.slice(keyword.length).trim())
    : { flags: [], rest: whole.slice(keyword.length).trim() };
  if (rest === "") throw new BuildError(place, `${keyword} takes at least one argument`);
  const nodes = withHeredocs.has(keyword) && hasHeredocs(node) ? node.getHeredocs() : [];
  return { ...place, keyword, flags, rest, heredocs: heredocsOf(nodes, lines, start + count, place) };
}

/** The name of the here-document that a word begins; undefined if it begins none. */
export function heredocName(word: string): string | undefined {
  return /^<<-?(?:'([^'\s]+)'|"([^"\s]+)"|([^'"\s]+))$/
    .exec(word)
    ?.slice(1)
    .find((name) => name !== undefined);
}

function hasHeredocs(node: Instruction): node is Instruction & { getHeredocs(): HeredocNode[] } {
  return "getHeredocs" in node;
}

/** The first line with those that continue it; comments and empty lines between are none. What comes after is of here-documents. */
function joined(text: string, escapeChar: string): { whole: string; count: number } {
  const lines = text.split(/\r?\n/);
  let whole = "";
  for (const [index, line] of lines.entries()) {
    if (index > 0 && /^\s*(#|$)/.test(line)) continue;
    const end = line.trimEnd();
    if (!end.endsWith(escapeChar)) return { whole: (whole + line).trim(), count: index + 1 };
    whole += end.slice(0, -1);
  }
  return { whole: whole.trim(), count: lines.length };
}

function flagsOf(text: string): Pick<Statement, "flags" | "rest"> {
  const flags: [string, string | undefined][] = [];
  let rest = text;
  for (;;) {
    const match = /^--([A-Za-z][\w-]*)(?:=(\S*))?(?:\s+|$)/.exec(rest);
    if (match === null) return { flags, rest: rest.replace(/^--\s+/, "") };
    flags.push([match[1] as string, match[2]]);
    rest = rest.slice(match[0].length);
  }
}

/** The here-documents that a statement begins; their lines follow it, from the line `next` on. */
function heredocsOf(nodes: readonly HeredocNode[], lines: readonly string[], next: number, place: Place): Heredoc[] {
  let from = next;
  return nodes.map((node) => {
    const { start, end } = node.getStartRange();
    const operator = (lines[start.line] ?? "").slice(start.character, end.character);
    const withoutTabs = (line: string): string => (operator.startsWith("<<-") ? line.replace(/^\t+/, "") : line);
    const name = node.getName();
    const last = lines.findIndex((line, index) => index >= from && withoutTabs(line) === name);
    if (last < 0) throw new BuildError(place, `a line ${name} must end what ${operator} begins`);
    const written = lines.slice(from, last);
    from = last + 1;
    return {
      name,
      content: written.map((line) => `${withoutTabs(line)}\n`).join(""),
      expands: !/['"]/.test(operator),
      text: [...written, lines[last] ?? ""].map((line) => `${line}\n`).join(""),
    };
  });
}
