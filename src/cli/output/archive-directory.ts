import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { EAGAIN } from "../../errno.js";
import { LOCK_EX, LOCK_NB } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { syncDirectory } from "../../store/atomic.js";
import { makeDirectories } from "../../store/make-directories.js";
import { CommandError } from "../exit.js";

/** In a directory that is not whole: its writer holds the lock of this file as long as it lives. */
const unfinished = ".cowfs-unfinished";

/**
 * A directory that appears under its name when `write` has put all that belongs there into the one it is given, `OUTPUT.PID.new`. `output` may be
 * there if it is empty. What a writer of the same output left that was killed goes first. Throws CommandError, Node's exceptions, and whatever
 * `write` throws.
 */
export async function writeArchiveDirectory(output: string, write: (path: string) => Promise<void>): Promise<void> {
  if (existsSync(output) && readdirSync(output).length > 0) {
    throw new CommandError(`${output} is not empty: name a directory that does not exist`);
  }
  removeAbandoned(output);
  const temporary = `${output}.${process.pid}.new`;
  makeDirectories(dirname(output), 0o777);
  mkdirSync(temporary);
  try {
    const mark = join(temporary, unfinished);
    const fd = openSync(mark, "wx");
    try {
      // Before this has the lock, another writer of the same output may take it for abandoned. Where there are no locks, nobody gets one.
      const locked = native.flock(fd, LOCK_EX | LOCK_NB);
      if (locked === -EAGAIN || !isStill(mark, fd)) throw new CommandError(`another command writes ${output}`);
      await write(temporary);
      rmSync(mark);
      renameSync(temporary, output);
    } finally {
      closeSync(fd);
    }
    syncDirectory(dirname(output));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function isStill(path: string, fd: number): boolean {
  const [named, opened] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)];
  return named?.ino === opened.ino && named.dev === opened.dev;
}

/** Removes what is marked as not whole, and whose writer is gone. */
function removeAbandoned(output: string): void {
  const directory = dirname(output);
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(`${basename(output)}.`) || !/\.\d+\.new$/.test(name)) continue;
    const fd = openIfThere(join(directory, name, unfinished));
    if (fd === undefined) continue;
    try {
      if (native.flock(fd, LOCK_EX | LOCK_NB) === 0) rmSync(join(directory, name), { recursive: true, force: true });
    } finally {
      closeSync(fd);
    }
  }
}

/** Undefined if it is not there, or its writer has just made an end of it. */
function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
