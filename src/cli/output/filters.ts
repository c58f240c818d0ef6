import { UsageError } from "../exit.js";

/** What `--filter` said: name → values. */
export type Filters<Name extends string> = ReadonlyMap<Name, readonly string[]>;

/** Reads `--filter NAME=VALUE` words. Throws UsageError for a word of another form, and for a name that is not among `known`. */
export function parseFilters<Name extends string>(
  words: readonly string[] | undefined,
  known: readonly Name[],
): Filters<Name> {
  const filters = new Map<Name, string[]>();
  for (const word of words ?? []) {
    const equals = word.indexOf("=");
    const name = known.find((candidate) => candidate === (equals < 0 ? word : word.slice(0, equals)));
    if (name === undefined) {
      throw new UsageError(`unknown filter ${JSON.stringify(word)}: known are ${known.map((k) => `${k}=`).join(", ")}`);
    }
    if (equals < 0) throw new UsageError(`the filter ${name} needs a value: --filter ${name}=VALUE`);
    filters.set(name, [...(filters.get(name) ?? []), word.slice(equals + 1)]);
  }
  return filters;
}

/** A filter that is yes or no; undefined if nobody asked. Throws UsageError for another word. */
export function booleanFilter<Name extends string>(filters: Filters<Name>, name: Name): boolean | undefined {
  const word = filters.get(name)?.at(-1)?.toLowerCase();
  if (word === undefined) return undefined;
  if (word === "true" || word === "1") return true;
  if (word === "false" || word === "0") return false;
  throw new UsageError(`the filter ${name} is true or false, not ${JSON.stringify(word)}`);
}

/** Whether something has all the labels that `label=KEY` and `label=KEY=VALUE` filters ask for. */
export function hasLabels(
  labels: Readonly<Record<string, string>> | null | undefined,
  wanted: readonly string[] | undefined,
): boolean {
  return (wanted ?? []).every((word) => {
    const [key = "", ...rest] = word.split("=");
    const value = labels !== null && labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
    return value !== undefined && (rest.length === 0 || value === rest.join("="));
  });
}

/** A moment that a filter names, as `timeOf`. */
export function timeFilter(name: string, word: string, now = Date.now()): number {
  return timeOf(`the filter ${name}=`, word, now);
}

/** A moment: seconds since 1970, an ISO time, or a span before now (`10m`, `24h`). Milliseconds. Throws UsageError that begins with `what`. */
export function timeOf(what: string, word: string, now = Date.now()): number {
  if (/^\d+(\.\d+)?$/.test(word)) return Number(word) * 1000;
  const spans = [...word.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)];
  if (spans.length > 0 && spans.map(([span]) => span).join("") === word) {
    const unit: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
    return now - spans.reduce((sum, [, count, letters]) => sum + Number(count) * (unit[letters ?? ""] ?? 0), 0);
  }
  const time = Date.parse(word);
  if (Number.isNaN(time)) {
    throw new UsageError(
      `${what}${what.endsWith("=") ? "" : " "}${word} is no time: 10m, 24h, 2026-01-31T12:00:00Z, or seconds since 1970`,
    );
  }
  return time;
}
