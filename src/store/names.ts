import { StoreError } from "./error.js";

/** The tag of a name that says none. */
const defaultTag = "latest";

/**
 * `NAME[:TAG]` as `name:tag`, as people write it: Docker's own registry is left out, as Docker does. Names are those of registries: lower-case
 * components of letters and digits, parted by `/`, with single `.`, `-` or `_` between them, the first one perhaps a host with a port. Throws
 * StoreError that says what is allowed; a digest in the place of a tag is one that cowfs does not keep.
 */
export function imageName(text: string): string {
  const match = /^(.+?)(?::([^/:]*))?$/.exec(text.replace(/^(?:index\.)?docker\.io\/(?:library\/)?/, ""));
  const name = match?.[1] ?? "";
  const tag = match?.[2] ?? defaultTag;
  const component = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/;
  const [first = "", ...rest] = name.split("/");
  const isHost = rest.length > 0 && /^[A-Za-z0-9.-]+(?::\d+)?$/.test(first) && /[.:]|^localhost$/.test(first);
  const components = isHost ? rest : [first, ...rest];
  if (name.length > 255 || !components.every((part) => component.test(part))) {
    throw new StoreError(
      `the image name ${JSON.stringify(name)} is invalid: lower-case letters, digits and single . _ - between them, parted by /, up to 255 characters`,
    );
  }
  if (/^(?:sha256|[0-9a-f]{64})$/.test(name)) {
    throw new StoreError(`the image name ${JSON.stringify(name)} is invalid: it could not be told from an id`);
  }
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(tag)) {
    throw new StoreError(
      `the tag ${JSON.stringify(tag)} is invalid: letters, digits, and _ . - after the first character, up to 128 of them`,
    );
  }
  return `${name}:${tag}`;
}

/** Whether a word can be an id, or the beginning of one. */
export function isIdPrefix(word: string): boolean {
  return /^(?:sha256:)?[0-9a-f]{1,64}$/.test(word);
}

/** The first twelve digits, as people see ids. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

/** The directory of something that is called by its digest. Throws StoreError for what is no SHA-256. */
export function digestHex(digest: string): string {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1];
  if (hex === undefined) throw new StoreError(`${JSON.stringify(digest)} is no sha256 digest`);
  return hex;
}

/** Names of containers and volumes. Throws StoreError that says what is allowed; `what` is "container" or "volume". */
export function checkName(name: string, what: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name) && name.length <= 255) return;
  const path = name.startsWith("/") ? "it must be an absolute path before a colon" : "write its absolute path";
  const hint = what === "volume" ? `; if you meant a directory of the host, ${path}` : "";
  throw new StoreError(
    `the ${what} name ${JSON.stringify(name)} is invalid: two or more of a-z A-Z 0-9 _ . - are allowed, the first a letter or digit${hint}`,
  );
}
