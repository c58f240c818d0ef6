import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LogTimes } from "../../assemble/log-times.js";
import { findContainer, placesOf, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError } from "../../store/error.js";
import { print, UsageError } from "../exit.js";
import { timeOf } from "../output/filters.js";

export interface LogsWords {
  readonly follow?: boolean;
  readonly tail?: string;
  readonly timestamps?: boolean;
  readonly since?: string;
  readonly until?: string;
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
  const since = words.since === undefined ? undefined : timeOf("--since", words.since);
  const until = words.until === undefined ? undefined : timeOf("--until", words.until);
  const { log: path, logTimes } = placesOf(root, record.id);
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
    const times = new LogTimes(logTimes, fd);
    const end = until === undefined ? Number.POSITIVE_INFINITY : lineEnd(fd, times.endBefore(until + 1));
    const first = since === undefined ? 0 : lineStart(fd, times.endBefore(since));
    let at = lines === undefined ? first : Math.max(first, tailStart(fd, lines, end));
    const show = words.timestamps === true ? stamped(times, at) : (piece: Buffer): void => print(Buffer.from(piece));
    for (;;) {
      // The state is asked before the file: what is written before the end is read then.
      const more = words.follow === true && at < end && runs();
      for (;;) {
        const length = readSync(fd, chunk, 0, Math.min(chunk.length, Math.max(0, end - at)), at);
        if (length === 0) break;
        at += length;
        show(chunk.subarray(0, length));
      }
      if (!more) return 0;
      await sleep(patience);
    }
  } finally {
    closeSync(fd);
  }
}

/** Prints pieces that follow each other, from an offset where a line begins, with the time at which each line came. */
function stamped(times: LogTimes, from: number): (piece: Buffer) => void {
  let offset = from;
  let atStart = true;
  return (piece) => {
    const parts: Buffer[] = [];
    for (let at = 0; at < piece.length; ) {
      if (atStart) parts.push(Buffer.from(`${new Date(times.at(offset + at)).toISOString()} `));
      const newline = piece.indexOf(0x0a, at);
      const next = newline < 0 ? piece.length : newline + 1;
      parts.push(piece.subarray(at, next));
      atStart = newline >= 0;
      at = next;
    }
    offset += piece.length;
    print(Buffer.concat(parts));
  };
}

/** Where the first line begins that does so at an offset or later. */
function lineStart(fd: number, offset: number): number {
  return offset === 0 ? 0 : lineEnd(fd, offset);
}

/** Where a line ends: the first one that does so at an offset or later. */
function lineEnd(fd: number, offset: number): number {
  if (offset === 0) return 0;
  for (let at = offset - 1; ; ) {
    const length = readSync(fd, chunk, 0, chunk.length, at);
    const newline = chunk.subarray(0, length).indexOf(0x0a);
    if (newline >= 0) return at + newline + 1;
    if (length === 0) return at;
    at += length;
  }
}

/** Where the last lines before an offset begin. */
function tailStart(fd: number, lines: number, before: number): number {
  const size = Math.min(fstatSync(fd).size, before);
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
