/** One line of a case: `[@process] [name =] operation argument… [-> expectation]`. */
export interface Step {
  readonly line: string;
  readonly process: string;
  readonly variable?: string;
  readonly op: string;
  readonly args: readonly string[];
  /** Nothing: it must succeed. `*`: anything. `/…/`: a pattern. Otherwise the exact result, or the name of an errno. */
  readonly expected?: string;
}

const escapes: Record<string, string> = { n: "\n", t: "\t", "0": "\0", '"': '"', "\\": "\\" };

/** Splits at spaces outside of double quotes; inside, `\n \t \0 \" \\ \xNN` stand for single bytes. */
export function words(line: string): string[] {
  const found: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const c = line.charAt(at);
    if (c === " ") {
      if (word !== undefined) {
        found.push(word);
      }
      word = undefined;
    } else if (c !== '"') {
      word = (word ?? "") + c;
    } else {
      word ??= "";
      for (at++; at < line.length && line.charAt(at) !== '"'; at++) {
        if (line.charAt(at) !== "\\") {
          word += line.charAt(at);
          continue;
        }
        at++;
        if (line.charAt(at) === "x") {
          word += String.fromCharCode(Number.parseInt(line.slice(at + 1, at + 3), 16));
          at += 2;
        } else {
          word += escapes[line.charAt(at)] ?? line.charAt(at);
        }
      }
    }
  }
  if (word !== undefined) {
    found.push(word);
  }
  return found;
}

/** Reads one step. @throws if it is none */
export function parseStep(line: string): Step {
  const arrow = line.lastIndexOf(" ->");
  const expected = arrow < 0 ? undefined : line.slice(arrow + 3).trim();
  const parts = words(arrow < 0 ? line : line.slice(0, arrow));
  let process = "a";
  if (parts[0]?.startsWith("@") === true) {
    process = (parts.shift() ?? "").slice(1);
  }
  let variable: string | undefined;
  if (parts[1] === "=") {
    variable = parts.shift();
    parts.shift();
  }
  const op = parts.shift();
  if (op === undefined) {
    throw new Error(`not a step: ${line}`);
  }
  return {
    line,
    process,
    op,
    args: parts,
    ...(variable === undefined ? {} : { variable }),
    ...(expected === undefined ? {} : { expected: expected.startsWith("/") ? expected : words(expected).join(" ") }),
  };
}

/** The steps of a text: a line each; empty lines and lines that start with `#` mean nothing. */
export function parseSteps(text: string): Step[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(parseStep);
}

/** Whether a result is what a step wants; `ok` says that it is no errno. */
export function meets(result: string, ok: boolean, expected: string | undefined): boolean {
  if (expected === undefined) {
    return ok;
  }
  if (expected.length > 2 && expected.startsWith("/") && expected.endsWith("/")) {
    return new RegExp(`^(?:${expected.slice(1, -1)})$`, "s").test(result);
  }
  return expected === "*" || result === expected;
}
