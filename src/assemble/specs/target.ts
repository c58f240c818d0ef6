import { posix } from "node:path";
import { SpecError } from "./spec-error.js";

/** A target in the container, without `.`, `..`, doubled slashes and a slash at the end. Throws SpecError if it is not one. */
export function targetPath(text: string): string {
  if (!text.startsWith("/")) throw new SpecError(`invalid mount path: '${text}' mount path must be absolute`);
  if (text.includes("\0")) throw new SpecError(`invalid mount path: '${text}' has a NUL in it`);
  const path = posix.normalize(text).replace(/\/+$/, "");
  if (path === "") throw new SpecError("invalid specification: destination can't be '/'");
  return path;
}

/** Where relative sources start, and `~`. */
export interface Surroundings {
  readonly cwd: string;
  readonly home?: string | undefined;
}

/** A source that is a path of the host, made absolute. Symbolic links and `..` behind them are the kernel's. */
export function hostPath(text: string, { cwd, home }: Surroundings): string {
  if (text.includes("\0")) throw new SpecError(`invalid mount source: '${text}' has a NUL in it`);
  const expanded = home !== undefined && /^~(?=\/|$)/.test(text) ? `${home}${text.slice(1)}` : text;
  const parts = (expanded.startsWith("/") ? expanded : `${cwd}/${expanded}`).split("/");
  return `/${parts.filter((part) => part !== "" && part !== ".").join("/")}`;
}
