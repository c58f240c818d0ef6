import { createWriteStream, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import { syncDirectory } from "../../store/atomic.js";
import { CommandError, systemReason } from "../exit.js";

/**
 * Writes an archive to a file, or to stdout if none is named (or `-`). A regular file appears under its name when it is whole and on the disk,
 * and one that was there stays as it was if that fails; to anything else (a fifo, a device), and to stdout, is written as it comes. Throws
 * CommandError if it cannot be written, and whatever `write` throws besides.
 */
export async function writeArchiveFile(
  output: string | undefined,
  write: (to: Writable) => Promise<void>,
): Promise<void> {
  const path = output === "-" ? undefined : output;
  try {
    if (path === undefined) return await write(process.stdout);
    const there = statSync(path, { throwIfNoEntry: false });
    if (there !== undefined && !there.isFile()) return await write(createWriteStream(path));
    const temporary = `${path}.${process.pid}.new`;
    try {
      await write(createWriteStream(temporary, { flags: "wx", flush: true }));
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    syncDirectory(dirname(path));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw new CommandError(`cannot write ${path ?? "the output"}: ${systemReason(cause)}`, { cause });
  }
}
