import { shown } from "../text.js";
import { UsageError } from "./exit.js";

/** Splits at each `separator` that no backslash precedes. Escapes stay in the parts. */
export function splitUnescaped(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === separator) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

/** Takes a backslash before any character as "this character"; one at the very end is itself. */
export function unescapeAll(text: string): string {
  return text.replace(/\\(.)/gs, "$1");
}

/** The layers that a list names. */
export interface LayerList {
  readonly lowers: string[];
  /** Those that only hold the data of metacopies. */
  readonly data: string[];
}

/**
 * Splits a list of layers, `top:…:bottom`, and `::` before each that only holds data, which come last. `\\:` and `\\\\` stand for the
 * character; other backslashes for themselves.
 */
export function splitLayers(list: string): LayerList {
  const lowers: string[] = [];
  const data: string[] = [];
  const parts = splitUnescaped(list, ":").map((layer) => layer.replace(/\\([:\\])/g, "$1"));
  for (let i = 0; i < parts.length; i++) {
    const doubled = parts[i] === "" && i > 0 && i + 1 < parts.length;
    const layer = (doubled ? parts[++i] : parts[i]) as string;
    if (layer === "" || (doubled && lowers.length === 0)) {
      throw new UsageError(
        "the list of lower layers has an empty entry: separate paths by one colon (escape one as \\:), and put two before a layer that only holds data",
      );
    }
    if (!doubled && data.length > 0) {
      throw new UsageError(
        `${shown(layer)} comes after a layer that only holds data: such layers come last, each with two colons before it`,
      );
    }
    (doubled ? data : lowers).push(layer);
  }
  return { lowers, data };
}
