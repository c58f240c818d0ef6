/** A size as people write it (`64m`, `1.5g`, `100 KB`, `1024`), in bytes, units being powers of 1024. Undefined if it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const power = " kmgtp".indexOf(match[2]?.toLowerCase() || " ");
  const bytes = Math.floor(Number(match[1]) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
