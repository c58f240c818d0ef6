import { closeSync, createWriteStream, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import { EEXIST, errnoName } from "../../errno.js";
import { AT_FDCWD, O_TMPFILE, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { syncDirectory } from "../../store/atomic.js";
import { bytesOf } from "../../text.js";
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
    const fd = openNameless(dirname(path));
    if (fd === undefined) await writeBeside(path, write);
    else await writeNameless(path, fd, write);
    syncDirectory(dirname(path));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw new CommandError(`cannot write ${path ?? "the output"}: ${systemReason(cause)}`, { cause });
  }
}

/** A file in a directory that has no name, and so goes with this process, however that ends; undefined where the file system has no such files. */
function openNameless(directory: string): number | undefined {
  try {
    return openSync(directory, O_TMPFILE | O_WRONLY, 0o666);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EOPNOTSUPP" || code === "ENOTSUP" || code === "EISDIR") return undefined;
    throw error;
  }
}

async function writeNameless(path: string, fd: number, write: (to: Writable) => Promise<void>): Promise<void> {
  try {
    const streams = native.dup(fd);
    if (streams < 0) throw new CommandError(`cannot write ${path}: ${errnoName(streams)}`);
    await write(createWriteStream("", { fd: streams, flush: true }));
    let linked = native.link(fd, "", AT_FDCWD, bytesOf(path));
    if (linked === -EEXIST) {
      // No call puts a file in the place of another one but a rename.
      const temporary = beside(path);
      linked = native.link(fd, "", AT_FDCWD, bytesOf(temporary));
      if (linked === 0) renameOver(temporary, path);
    }
    if (linked < 0) throw new CommandError(`cannot write ${path}: ${errnoName(linked)}`);
  } finally {
    closeSync(fd);
  }
}

async function writeBeside(path: string, write: (to: Writable) => Promise<void>): Promise<void> {
  const temporary = beside(path);
  try {
    await write(createWriteStream(temporary, { flags: "wx", flush: true }));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  renameOver(temporary, path);
}

function beside(path: string): string {
  return `${path}.${process.pid}.new`;
}

function renameOver(temporary: string, path: string): void {
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
