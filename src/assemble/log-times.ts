import { appendFileSync, closeSync, fstatSync, openSync, readFileSync, statSync, watch } from "node:fs";

/**
 * When the output of a detached container came. The container writes its log by itself; its monitor sees that grow, and notes in a file beside it, a
 * line each, how long it was at what time: `LENGTH MILLISECONDS`, both growing. No output waits for that, and a monitor that is killed costs only times.
 */

/** How often at most the length is noted, in milliseconds: also how exact times are. */
const interval = 20;

/** Notes the times of a log until the returned function is called. Where the kernel does not tell of changes, there are no times. */
export function noteTimes(log: string, times: string): () => void {
  let noted = 0;
  let waiting: NodeJS.Timeout | undefined;
  const note = (): void => {
    waiting = undefined;
    try {
      const { size } = statSync(log);
      if (size !== noted) appendFileSync(times, `${size} ${Date.now()}\n`, { mode: 0o600 });
      noted = size;
    } catch {
      // A full disk, or a container that is removed: the output itself is not affected.
    }
  };
  try {
    closeSync(openSync(log, "a", 0o600));
    noted = statSync(log).size;
    const watcher = watch(log, () => {
      waiting ??= setTimeout(note, interval);
    });
    watcher.on("error", () => watcher.close());
    return () => {
      watcher.close();
      clearTimeout(waiting);
      note();
    };
  } catch {
    return () => {};
  }
}

/** The times of a log, as far as they are known. */
export class LogTimes {
  private lengths: number[] = [];
  private times: number[] = [];
  private read = 0;

  constructor(
    private readonly path: string,
    /** The log, open. */
    private readonly log: number,
  ) {
    this.refresh();
  }

  private refresh(): void {
    let text: string;
    try {
      text = readFileSync(this.path, "latin1");
    } catch {
      return;
    }
    const end = text.lastIndexOf("\n") + 1;
    for (const line of text.slice(this.read, end).split("\n")) {
      const [length, time] = line.split(" ").map(Number);
      if (length === undefined || time === undefined || !(length > (this.lengths.at(-1) ?? 0))) continue;
      this.lengths.push(length);
      this.times.push(time);
    }
    this.read = end;
  }

  /** When the byte at an offset had come, in milliseconds since 1970. */
  at(offset: number): number {
    if (offset >= (this.lengths.at(-1) ?? 0)) this.refresh();
    return this.times[firstAbove(this.lengths, offset)] ?? fstatSync(this.log).mtimeMs;
  }

  /** What had come before a time ends here. */
  endBefore(time: number): number {
    const index = firstAbove(this.times, time - 1);
    // Of what nothing is known the last change is known.
    if (index === this.times.length)
      return fstatSync(this.log).mtimeMs < time ? fstatSync(this.log).size : (this.lengths.at(-1) ?? 0);
    return this.lengths[index - 1] ?? 0;
  }
}

/** The index of the first number, of growing ones, that is greater than `value`. */
function firstAbove(numbers: readonly number[], value: number): number {
  let from = 0;
  for (let to = numbers.length; from < to; ) {
    const middle = (from + to) >> 1;
    if ((numbers[middle] as number) > value) to = middle;
    else from = middle + 1;
  }
  return from;
}
