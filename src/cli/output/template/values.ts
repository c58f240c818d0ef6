import { TemplateError } from "./error.js";

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Whether the keys of an object are fields, which a template may misspell, or data, of which any may be missing. JSON does not say; fields
 * begin with a capital letter in all that is shown, labels and paths hardly ever do.
 */
function hasFields(value: Record<string, unknown>): boolean {
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => /^\p{Lu}/u.test(key));
}

/** A field of a value. Throws TemplateError that names those which there are. */
export function field(value: unknown, name: string, path: string): unknown {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value))
    throw new TemplateError(`${path || "."} has no fields: it is ${describe(value)}, so .${name} is nothing`);
  if (Object.hasOwn(value, name)) return value[name];
  if (!hasFields(value)) return undefined;
  throw new TemplateError(
    `unknown field ${path}.${name}: there are ${Object.keys(value)
      .map((key) => `.${key}`)
      .join(" ")}`,
  );
}

export function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null || value === undefined) return "nothing";
  return isObject(value) ? "an object" : `a ${typeof value}`;
}

/** What `{{if}}` takes for true: not false, 0, nothing, nor what is empty. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isObject(value)) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** A value as Go prints it: `[a b]`, `map[k:v]`. */
export function text(value: unknown): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(text).join(" ")}]`;
  if (isObject(value)) {
    const keys = Object.keys(value);
    // Fields are printed in their order, without names; keys are sorted.
    if (hasFields(value)) return `{${keys.map((key) => text(value[key])).join(" ")}}`;
    return `map[${keys
      .sort()
      .map((key) => `${key}:${text(value[key])}`)
      .join(" ")}]`;
  }
  return String(value);
}
