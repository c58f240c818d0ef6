import { TemplateError } from "./error.js";

/** A piece of an action: `{{range $i, $x := .List}}` is ten of them. */
export interface Token {
  readonly kind: "word" | "field" | "variable" | "string" | "number" | "sign";
  /** Without quotes, and without the dot of a field. A field `.` alone is empty. */
  readonly text: string;
  /** Whether white space comes before: `.A .B` is two operands, `.A.B` one. */
  readonly spaced: boolean;
}

/** A template as text and actions by turns. */
export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly tokens: readonly Token[]; readonly source: string };

const signs = /^(:=|=|\||\(|\)|,)/;

/** Cuts a Go template into its pieces; `{{-` and `-}}` trim the text beside them. Throws TemplateError. */
export function pieces(template: string): Piece[] {
  const result: Piece[] = [];
  let rest = template;
  let trim = false;
  for (;;) {
    const start = rest.indexOf("{{");
    const opensTrimmed = start >= 0 && /^\{\{-\s/.test(rest.slice(start, start + 4));
    let text = start < 0 ? rest : rest.slice(0, start);
    if (trim) text = text.trimStart();
    if (opensTrimmed) text = text.trimEnd();
    if (text !== "") result.push({ kind: "text", text });
    if (start < 0) return result;
    rest = rest.slice(start + (opensTrimmed ? 3 : 2));
    const { tokens, length, trimmed } = action(rest);
    if (tokens.length > 0) result.push({ kind: "action", tokens, source: `{{${rest.slice(0, length).trim()}` });
    rest = rest.slice(length);
    trim = trimmed;
  }
}

function action(text: string): { tokens: Token[]; length: number; trimmed: boolean } {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    const space = /^\s*/.exec(text.slice(at))?.[0].length ?? 0;
    at += space;
    const rest = text.slice(at);
    if (rest.startsWith("}}")) return { tokens, length: at + 2, trimmed: false };
    if (space > 0 && rest.startsWith("-}}")) return { tokens, length: at + 3, trimmed: true };
    if (rest.startsWith("/*")) {
      const end = rest.indexOf("*/");
      if (end < 0) throw new TemplateError("a comment has no end: */ is missing");
      at += end + 2;
      continue;
    }
    const { length, ...token } = next(rest);
    tokens.push({ ...token, spaced: space > 0 || tokens.length === 0 });
    at += length;
  }
}

function next(rest: string): Omit<Token, "spaced"> & { length: number } {
  if (rest === "") throw new TemplateError("an action has no end: }} is missing");
  if (rest[0] === '"' || rest[0] === "'") return quoted(rest);
  if (rest[0] === "`") {
    const end = rest.indexOf("`", 1);
    if (end < 0) throw new TemplateError("a text has no end: ` is missing");
    return { kind: "string", text: rest.slice(1, end), length: end + 1 };
  }
  const sign = signs.exec(rest)?.[0];
  if (sign !== undefined) return { kind: "sign", text: sign, length: sign.length };
  const match =
    /^(?:(?<number>[-+]?\d+(?:\.\d+)?)|(?<variable>\$\w*)|(?<field>\.[\p{L}_\d]*)|(?<word>[\p{L}_][\p{L}_\d]*))/u.exec(
      rest,
    );
  for (const kind of ["number", "variable", "field", "word"] as const) {
    const text = match?.groups?.[kind];
    if (text !== undefined) return { kind, text: kind === "field" ? text.slice(1) : text, length: text.length };
  }
  throw new TemplateError(
    `unexpected ${JSON.stringify(rest.slice(0, 1))} in ${JSON.stringify(`{{${rest.split("}}")[0]}}}`)}`,
  );
}

/** A text in double quotes, with Go's escapes, which those of JSON are but for a few. */
function quoted(rest: string): Omit<Token, "spaced"> & { length: number } {
  const quote = rest[0] as string;
  const match = new RegExp(`^${quote}(?:[^${quote}\\\\]|\\\\.)*${quote}`, "s").exec(rest);
  if (match === null) throw new TemplateError(`a text has no end: ${quote} is missing`);
  if (quote === "'") throw new TemplateError(`texts stand in double quotes, not ${match[0]}`);
  const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r", '"': '"', "\\": "\\", "'": "'" };
  const text = match[0].slice(1, -1).replace(/\\(?:u([\da-fA-F]{4})|x([\da-fA-F]{2})|(.))/gs, (all, u, x, one) => {
    if (one === undefined) return String.fromCharCode(Number.parseInt(u ?? x, 16));
    return escapes[one] ?? all;
  });
  return { kind: "string", text, length: match[0].length };
}
