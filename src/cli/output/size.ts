/** Units of a thousand, as Docker shows sizes and disks are sold. */
const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** Bytes for people: `72.8MB`, with so many significant digits at most. */
export function size(bytes: number, digits = 4): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded up to a thousand belongs to the next unit.
  while (Number(value.toPrecision(digits)) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(digits))}${units[unit]}`;
}

/** A size as people write it: `100m`, `1.5GB`, `4096`, `64KiB`; units of 1024, as Docker and mount(8) take them. Undefined if it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = " kmgtp".indexOf((match[2] || " ").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** power);
}
