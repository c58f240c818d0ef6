/**
 * What a JSON document of somebody else should look like, as far as it is read: the type of a value, of the elements of an array, or of the
 * members of an object, with `*` for all of them. What is missing or null is as it should be.
 */
export type Shape =
  | "string"
  | "number"
  | "boolean"
  | "object"
  | readonly [Shape]
  | { readonly [member: string]: Shape };

/** The path of the first value that has not the shape it should have; undefined if all have. */
export function misfit(value: unknown, shape: Shape, path = ""): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof shape === "string") {
    const fits = typeof value === shape && !(shape === "object" && Array.isArray(value));
    return fits ? undefined : path;
  }
  const isList = isArrayShape(shape);
  if (typeof value !== "object" || Array.isArray(value) !== isList) return path || "content";
  for (const [name, member] of Object.entries(value)) {
    const inner = isList ? shape[0] : Object.hasOwn(shape, name) ? shape[name] : shape["*"];
    // A list of texts has no holes.
    if (isList && member === null) return `${path}[${name}]`;
    const found =
      inner === undefined ? undefined : misfit(member, inner, isList ? `${path}[${name}]` : join(path, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

function isArrayShape(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape);
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
