/** Patterns for names of files, as Dockerfiles have them: those of Go's path.Match, in `.dockerignore` with `**` besides. */
import { StoreError } from "../store/error.js";

/** Whether a component of a path is a pattern, and not just a name. */
export function isPattern(component: string): boolean {
  return /[*?[\\]/.test(component);
}

/** The names (of one component) that a pattern means, as bytes. Throws StoreError. */
export function nameMatcher(pattern: string): (name: string) => boolean {
  const expression = new RegExp(`^${translated(pattern, false)}$`, "s");
  return (name) => expression.test(name);
}

/** The paths that a line of `.dockerignore` means, without those below them. Throws StoreError. */
export function pathMatcher(pattern: string): (path: string) => boolean {
  const expression = new RegExp(`^${translated(pattern, true)}$`, "s");
  return (path) => expression.test(path);
}

function translated(pattern: string, hasDeep: boolean): string {
  let result = "";
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern[at] as string;
    if (letter === "*" && hasDeep && pattern[at + 1] === "*") {
      at++;
      // `**/` may stand for no directory at all; a `**` at the end for anything.
      if (pattern[at + 1] === "/") at++;
      result += at + 1 === pattern.length ? ".*" : "(?:.*/)?";
    } else if (letter === "*") result += "[^/]*";
    else if (letter === "?") result += "[^/]";
    else if (letter === "[") {
      const { text, end } = classAt(pattern, at);
      result += text;
      at = end;
    } else if (letter === "\\") {
      at++;
      if (at === pattern.length) throw new StoreError(`the pattern ${JSON.stringify(pattern)} ends with a backslash`);
      result += literal(pattern[at] as string);
    } else result += literal(letter);
  }
  return result;
}

function literal(letter: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(letter) ? `\\${letter}` : letter;
}

/** `[abc]`, `[a-z]`, `[^a]`; a backslash takes the meaning from what follows it. */
function classAt(pattern: string, start: number): { text: string; end: number } {
  const fault = (): StoreError => new StoreError(`the pattern ${JSON.stringify(pattern)} has a [ that is not closed`);
  let at = start + 1;
  const isNegated = pattern[at] === "^";
  if (isNegated) at++;
  const next = (): string => {
    if (pattern[at] === "\\") at++;
    const letter = pattern[at++];
    if (letter === undefined) throw fault();
    return letter;
  };
  let members = "";
  for (; pattern[at] !== "]" || members === ""; ) {
    const first = next();
    let last = first;
    if (pattern[at] === "-" && pattern[at + 1] !== "]") {
      at++;
      last = next();
    }
    if (last < first)
      throw new StoreError(`the pattern ${JSON.stringify(pattern)} has a range from ${first} to ${last}`);
    members += `${literal(first)}-${literal(last)}`;
  }
  return { text: `(?!/)[${isNegated ? "^" : ""}${members}]`, end: at };
}
