/**
 * `.dockerignore`: which files of a context a build does not see. Lines are patterns from the root of the context; the last one that means a path, or
 * a directory that it is in, decides; one that begins with `!` lets it through again.
 */
import { StoreError } from "../store/error.js";
import { pathMatcher } from "./patterns.js";

interface Rule {
  readonly isException: boolean;
  readonly matches: (path: string) => boolean;
}

export class IgnoreRules {
  private readonly rules: readonly Rule[];
  /** Something in a directory that is ignored may be let through. */
  readonly hasExceptions: boolean;

  /** `bytes` is the file's content, one character a byte; `file` what it is called in messages. Throws StoreError. */
  constructor(bytes: string, file: string) {
    const lines = bytes.replace(/^\xef\xbb\xbf/, "").split("\n");
    this.rules = lines.flatMap((line, index) => {
      try {
        return ruleOf(line) ?? [];
      } catch (cause) {
        if (!(cause instanceof StoreError)) throw cause;
        throw new StoreError(`${file}:${index + 1}: ${cause.message}`, { cause });
      }
    });
    this.hasExceptions = this.rules.some(({ isException }) => isException);
  }

  /** Whether a path (relative, bytes) is left out by itself; of a directory, something in it may be let through all the same. */
  ignores(path: string): boolean {
    const parts = path.split("/");
    const paths = parts.map((_, index) => parts.slice(0, index + 1).join("/"));
    let ignored = false;
    for (const { isException, matches } of this.rules) {
      if (isException === ignored && paths.some(matches)) ignored = !isException;
    }
    return ignored;
  }
}

function ruleOf(line: string): Rule | undefined {
  if (line.startsWith("#")) return undefined;
  const text = line.trim();
  const isException = text.startsWith("!");
  const pattern = cleaned(isException ? text.slice(1).trim() : text);
  if (pattern === "") {
    if (isException) throw new StoreError("a pattern must follow !");
    return undefined;
  }
  return { isException, matches: pathMatcher(pattern) };
}

/** Without what changes nothing: slashes at both ends, `.`, and names that `..` takes back. The context itself is nothing that can be ignored. */
function cleaned(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}
