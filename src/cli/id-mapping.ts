import { shown } from "../text.js";
import type { IdRange } from "../union/id-map.js";
import { UsageError } from "./exit.js";

/** One more than the highest id: (uid_t)-1 is nobody's. */
const ID_END = 0xffffffff;

/**
 * The ranges of `onDisk:shown:length[:onDisk:shown:length…]`. A leading colon is passed over: podman writes one. Throws
 * UsageError for anything that is malformed or ambiguous.
 */
export function parseIdMapping(name: string, value: string): IdRange[] {
  const refuse = (why: string): never => {
    throw new UsageError(
      `${name}=${shown(value)}: ${why}: use onDisk:shown:length, and more such triples after a colon, for example ${name}=0:100000:65536`,
    );
  };
  const fields = value.replace(/^:/, "").split(":");
  if (fields.some((field) => !/^\d{1,10}$/.test(field))) refuse("not all fields are numbers");
  if (fields.length % 3 !== 0) refuse(`${fields.length} numbers are no triples`);
  const ranges: IdRange[] = [];
  for (let i = 0; i < fields.length; i += 3) {
    const [onDisk, asShown, length] = fields.slice(i, i + 3).map(Number) as [number, number, number];
    if (length === 0) refuse("a length is 0");
    if (Math.max(onDisk, asShown) + length > ID_END) refuse("a range ends above the highest id");
    ranges.push({ onDisk, shown: asShown, length });
  }
  const overlap = (side: "onDisk" | "shown") =>
    ranges.some((a, i) => ranges.some((b, k) => i !== k && a[side] >= b[side] && a[side] - b[side] < b.length));
  if (overlap("onDisk") || overlap("shown")) refuse("ranges overlap");
  return ranges;
}

/** One user or group id. Throws UsageError. */
export function parseId(name: string, value: string): number {
  const id = /^\d{1,10}$/.test(value) ? Number(value) : ID_END;
  if (id >= ID_END) throw new UsageError(`${name}=${shown(value)} is no id: it must be a number below ${ID_END}`);
  return id;
}
