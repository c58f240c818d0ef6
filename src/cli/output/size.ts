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
