import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { findContainer, placesOf, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError } from "../../store/error.js";
import { print, UsageError } from "../exit.js";

export interface LogsWords {
  readonly follow?: boolean;
  readonly tail?: string;
}

/** How often a log that is followed is looked at, in milliseconds. */
const patience = 50;
const chunk = Buffer.alloc(64 * 1024);

/** `cowfs logs`: what a detached container has written. Returns the exit code. */
export async function logsCommand(root: DataRoot, name: string, words: LogsWords): Promise<number> {
  const record = findContainer(root, name);
  const lines = words.tail === undefined || words.tail === "all" ? undefined : Number(words.tail);
  if (lines !== undefined && !(Number.isInteger(lines) && lines >= 0)) {
    throw new UsageError(`--tail takes a number of lines or all, not ${words.tail}`);
  }
  const path = placesOf(root, record.id).log;
  const runs = (): boolean => {
    try {
      return readState(root, record.id).status === "running";
    } catch (error) {
      if (error instanceof NotFoundError) return false;
      throw error;
    }
  };
  // It never ran detached: then it has no log, and may get one.
  while (!existsSync(path)) {
    if (words.follow !== true || !runs()) return 0;
    await sleep(patience);
  }
  const fd = openSync(path, "r");
  try {
    let at = lines === undefined ? 0 : tailStart(fd, lines);
    for (;;) {
      // The state is asked before the file: what is written before the end is read then.
      const more = words.follow === true && runs();
      for (;;) {
        const length = readSync(fd, chunk, 0, chunk.length, at);
        if (length === 0) break;
        at += length;
        print(Buffer.from(chunk.subarray(0, length)));
      }
      if (!more) return 0;
      await sleep(patience);
    }
  } finally {
    closeSync(fd);
  }
}

/** Where the last lines of a file begin. */
function tailStart(fd: number, lines: number): number {
  const { size } = fstatSync(fd);
  if (lines === 0) return size;
  let left = lines;
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - chunk.length);
    const length = readSync(fd, chunk, 0, end - begin, begin);
    for (let i = length - 1; i >= 0; i--) {
      // The newline at the very end ends the last line.
      if (chunk[i] === 0x0a && begin + i !== size - 1 && --left <= 0) return begin + i + 1;
    }
    end = begin;
  }
  return 0;
}
