import { pad } from "../table.js";
import { TemplateError } from "./error.js";
import { describe, isObject, isTrue, text } from "./values.js";

type TemplateFunction = (...values: readonly unknown[]) => unknown;

/** What templates may call: the functions of Go's text/template, and those that Docker adds. */
export const functions: Readonly<Record<string, TemplateFunction>> = {
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  not: (value) => !isTrue(value),
  len: length,
  index: (value, ...keys) => keys.reduce(element, value),
  slice: (value, from = 0, to = undefined) => {
    if (typeof value !== "string" && !Array.isArray(value))
      throw new TemplateError(`slice wants a text or list, not ${describe(value)}`);
    return value.slice(Number(from), to === undefined ? undefined : Number(to));
  },
  print: (...values) => values.map(text).join(" "),
  println: (...values) => `${values.map(text).join(" ")}\n`,
  printf: (format, ...values) => printf(text(format), values),
  eq: (first, ...others) => others.some((other) => first === other),
  ne: (a, b) => a !== b,
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  json: (value) => JSON.stringify(value ?? null),
  join: (list, separator = "") => {
    if (list === null || list === undefined) return "";
    if (!Array.isArray(list)) throw new TemplateError(`join wants a list, not ${describe(list)}`);
    return list.map(text).join(text(separator));
  },
  split: (value, separator) => text(value).split(text(separator)),
  title: (value) => text(value).replace(/(^|\s)\p{L}/gu, (letter) => letter.toUpperCase()),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  pad: (value, before, after) =>
    text(value) === "" ? "" : " ".repeat(Number(before)) + text(value) + " ".repeat(Number(after)),
  truncate: (value, length) => [...text(value)].slice(0, Number(length)).join(""),
};

function length(value: unknown): number {
  if (value === null || value === undefined) return 0;
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (isObject(value)) return Object.keys(value).length;
  throw new TemplateError(`len wants a text, list or object, not ${describe(value)}`);
}

function element(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) {
    if (typeof key !== "number" || key < 0 || key >= value.length) {
      throw new TemplateError(`index ${text(key)} is out of range: the list has ${value.length}`);
    }
    return value[key];
  }
  if (isObject(value)) return Object.hasOwn(value, text(key)) ? value[text(key)] : undefined;
  if (value === null || value === undefined) return undefined;
  throw new TemplateError(`index wants a list or object, not ${describe(value)}`);
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : Number(a > b);
  throw new TemplateError(`${describe(a)} and ${describe(b)} cannot be compared`);
}

/** The verbs of Go's printf that make sense for texts and numbers, with flags, width and precision. */
function printf(format: string, values: readonly unknown[]): string {
  let next = 0;
  const result = format.replace(
    /%([-+0 ]*)(\d+)?(?:\.(\d+))?(.)/gsu,
    (_, flags: string, width = "0", precision, verb: string) => {
      if (verb === "%") return "%";
      if (next >= values.length) return `%!${verb}(MISSING)`;
      const shown = converted(verb, values[next++], precision === undefined ? undefined : Number(precision));
      const wide = Number(width);
      if (flags.includes("-")) return pad(shown, wide);
      return flags.includes("0") ? shown.padStart(wide, "0") : shown.padStart(wide);
    },
  );
  if (next < values.length) throw new TemplateError(`printf ${JSON.stringify(format)} has more values than verbs`);
  return result;
}

function converted(verb: string, value: unknown, precision: number | undefined): string {
  switch (verb) {
    case "s":
    case "v":
      return precision === undefined ? text(value) : [...text(value)].slice(0, precision).join("");
    case "q":
      return JSON.stringify(text(value));
    case "t":
      return String(isTrue(value));
    case "d":
      return String(Math.trunc(Number(value)));
    case "f":
      return Number(value).toFixed(precision ?? 6);
    case "x":
      return typeof value === "number" ? value.toString(16) : Buffer.from(text(value)).toString("hex");
    case "o":
      return Number(value).toString(8);
    default:
      throw new TemplateError(`printf knows %s %v %q %d %f %x %o %t, not %${verb}`);
  }
}
