import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a directory, and those above it that are missing; what is there stays as it is. Throws Node's exceptions. Node's own way to do that
 * (`recursive`) never ends where the kernel says ENOENT of a name in a directory that exists, as in /proc.
 */
export function makeDirectories(path: string, mode: number): void {
  const code = make(path, mode);
  if (code !== "ENOENT") return;
  if (dirname(path) !== path) makeDirectories(dirname(path), mode);
  if (make(path, mode) === "ENOENT") mkdirSync(path, { mode });
}

/** Undefined, or why it was not made: it exists, or the directory above it does not. Others may make both at any time. */
function make(path: string, mode: number): "EEXIST" | "ENOENT" | undefined {
  try {
    mkdirSync(path, { mode });
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOENT") return code;
    throw error;
  }
}
