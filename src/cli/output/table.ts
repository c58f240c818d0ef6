import stringWidth from "string-width";

/** Between two columns, and the least that a column takes with it: those of Docker's tables. */
const gap = 3;
const narrowest = 10;

/** A byte that cannot be shown. */
export function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

/** A text that stays in its cell: control characters would break the line, or talk to the terminal. */
export function cell(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => [...Buffer.from(c)].map(hex).join(""));
}

/** Text padded to a width of the terminal's columns: wide characters count twice, and colours nothing. */
export function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - stringWidth(text)));
}

/** Rows, the heading first, in columns wide enough for their longest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? narrowest, stringWidth(text) + gap);
  }
  return rows
    .map(
      (row) =>
        `${row
          .map((text, i) => pad(text, widths[i] ?? 0))
          .join("")
          .trimEnd()}\n`,
    )
    .join("");
}
