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

/** Splits a list of layers, `top:…:bottom`. `\:` and `\\` stand for the character; other backslashes for themselves. */
export function splitLayers(list: string): string[] {
  const layers = splitUnescaped(list, ":").map((layer) => layer.replace(/\\([:\\])/g, "$1"));
  if (layers.includes("")) {
    throw new UsageError(
      "the list of lower layers has an empty entry: separate paths by one colon (escape one as \\:)",
    );
  }
  return layers;
}
