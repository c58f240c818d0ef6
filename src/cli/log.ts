import { openSync } from "node:fs";
import { type DestinationStream, destination, pino } from "pino";
import type { Log, MountConfig } from "../session/config.js";
import { shown } from "../text.js";
import { CommandError, systemReason } from "./exit.js";

export interface Logger {
  readonly log: Log;
  /** Writes out what is still in memory. */
  readonly flush: () => void;
}

/**
 * A pino log: one JSON object a line. Writing is asynchronous, so that no slow reader of the log (which may be a process
 * that waits for the mount) can stop the driver.
 */
function pinoLogger(stream: DestinationStream & { flushSync(): void }, config: MountConfig): Logger {
  const logger = pino(
    { level: config.debug ? "debug" : "info", base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    stream,
  );
  return {
    log: (level, message, details) => logger[level](details ?? {}, message),
    flush: () => {
      try {
        stream.flushSync();
      } catch {
        // The reader is gone or the disk is full: there is no one left to tell.
      }
    },
  };
}

/** Logs to stderr. */
export function stderrLogger(config: MountConfig): Logger {
  return pinoLogger(guarded(destination({ fd: 2, sync: false })), config);
}

/** Appends to a file, created for its owner alone: names of files are nobody else's business. Throws CommandError. */
export function fileLogger(path: string, config: MountConfig): Logger {
  let fd: number;
  try {
    fd = openSync(Buffer.from(path, "latin1"), "a", 0o600);
  } catch (cause) {
    // Opening for appending would create the file, so it is the directory that is missing.
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const why = missing ? "its directory does not exist: create it (mkdir), or name another" : systemReason(cause);
    throw new CommandError(`the log file ${shown(path)} cannot be opened: ${why}`, { cause });
  }
  return pinoLogger(guarded(destination({ fd, sync: false })), config);
}

type Sonic = ReturnType<typeof destination>;

/** A log that cannot be written any more must not end the mount. */
function guarded(stream: Sonic): Sonic {
  stream.on("error", () => {});
  return stream;
}
