/** A part of a bar: how much, and what it is drawn with. */
export interface BarPart {
  readonly value: number;
  readonly fill: "solid" | "shaded";
}

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const glyphs = { solid: "█", shaded: "░" };
const plain = { solid: "#", shaded: ":" };

/** Whether the terminal shows more than ASCII, as far as the environment says. */
function isUnicode({ LC_ALL, LC_CTYPE, LANG }: NodeJS.ProcessEnv): boolean {
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
}

/**
 * Parts beside each other, together as long as their sum is of `whole`; padded to `width` columns. What is more than nothing shows at
 * least a trace, so that a small layer is told from an empty one.
 */
export function bar(
  parts: readonly BarPart[],
  whole: number,
  width: number,
  environment: NodeJS.ProcessEnv = process.env,
): string {
  const unicode = isUnicode(environment);
  const set = unicode ? glyphs : plain;
  let sum = 0;
  let column = 0;
  let text = "";
  for (const { value, fill } of parts) {
    if (value <= 0 || whole <= 0) continue;
    sum += value;
    const end = Math.min(width, (sum / whole) * width);
    const full = Math.max(0, (unicode && fill === "solid" ? Math.floor(end) : Math.round(end)) - column);
    const rest = unicode && fill === "solid" ? (eighths[Math.floor((end - Math.floor(end)) * 8)] ?? "") : "";
    const drawn = set[fill].repeat(full) + rest;
    const shown = drawn === "" && column < width ? (unicode && fill === "solid" ? "▏" : set[fill]) : drawn;
    text += shown;
    column += shown.length;
  }
  return text.slice(0, width).padEnd(width);
}

/** What the two fills of a bar mean. */
export function legend(solid: string, shaded: string, environment: NodeJS.ProcessEnv = process.env): string {
  const set = isUnicode(environment) ? glyphs : plain;
  return `${set.solid} ${solid} ${set.shaded} ${shaded}`;
}
