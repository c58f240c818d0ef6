import { SpecError } from "./spec-error.js";

/**
 * The fields of one line of comma-separated values (RFC 4180): a field in double quotes may hold commas, and a quote is doubled there.
 * Throws SpecError.
 */
export function csvFields(line: string): string[] {
  const fields: string[] = [];
  let rest = line;
  for (;;) {
    const quoted = /^"((?:[^"]|"")*)"(?=,|$)/.exec(rest);
    const plain = /^[^",]*(?=,|$)/.exec(rest);
    const match = quoted ?? plain;
    if (match === null)
      throw new SpecError(`parse error on '${line}': a '"' stands alone, or inside a field without quotes`);
    fields.push(quoted === null ? match[0] : (quoted[1] ?? "").replaceAll('""', '"'));
    rest = rest.slice(match[0].length);
    if (rest === "") return fields;
    rest = rest.slice(1);
  }
}
