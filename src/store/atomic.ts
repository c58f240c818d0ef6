import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Makes what was done in a directory (a rename, a removal) survive a crash of the machine. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Replaces a file as a whole: whoever reads it sees the old content or the new, also after a crash. The content is on the disk when this
 * returns. Throws Node's exceptions, and leaves no temporary file then.
 */
export function writeAtomically(path: string, content: string | Uint8Array, mode = 0o644): void {
  const temporary = `${path}.${process.pid}.new`;
  try {
    const fd = openSync(temporary, "w", mode);
    try {
      writeFileSync(fd, content);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    // Node names no file where it has only a descriptor.
    if (error instanceof Error && "syscall" in error && !("path" in error)) error.message += ` '${path}'`;
    throw error;
  }
  syncDirectory(dirname(path));
}

/** As `writeAtomically`, for a JSON document that people may read too. */
export function writeJson(path: string, value: unknown, mode = 0o644): void {
  writeAtomically(path, `${JSON.stringify(value, null, 2)}\n`, mode);
}

/** Renames within the data root, and makes it last. */
export function publish(from: string, to: string): void {
  renameSync(from, to);
  syncDirectory(dirname(to));
}
