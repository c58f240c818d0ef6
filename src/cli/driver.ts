import { closeSync, readSync, writeSync } from "node:fs";
import { errnoName } from "../errno.js";
import { native } from "../native/index.js";
import { runSession } from "../session/session.js";
import { shown } from "../text.js";
import { CommandError, EXIT_FAILURE, messageOf } from "./exit.js";
import type { Logger } from "./log.js";
import type { MountPlan } from "./mount-plan.js";

/**
 * The descriptor by which a driver answers whoever started it. For the launcher it is a pipe, which takes one byte when the mount
 * answers; for `main.js mount` a socket: the plan comes in, one answer goes out.
 */
export const STARTER_FD = 3;

/** The driver's one answer to `main.js mount`: an object on one line. */
export type DriverAnswer =
  | { readonly ready: true /** What whoever mounts should know. */; readonly warnings: readonly string[] }
  | { readonly error: string; readonly exitCode: number };

/** Logs nowhere. */
const silentLogger: Logger = { log: () => {}, flush: () => {} };

/** The log of a plan: its file, stderr in the foreground, or none. Throws CommandError. */
export async function loggerOf(plan: MountPlan): Promise<Logger> {
  if (plan.log === undefined && !plan.foreground) return silentLogger;
  // pino takes longer to load than all the rest.
  const { fileLogger, stderrLogger } = await import("./log.js");
  return plan.log === undefined ? stderrLogger(plan.config) : fileLogger(plan.log, plan.config);
}

/** Runs the session of a plan; returns its exit code. `onReady` gets the warnings that were logged before. */
export async function serve(
  plan: MountPlan,
  logger: Logger,
  onReady: (warnings: readonly string[]) => void,
): Promise<number> {
  const warnings = [...plan.remarks];
  for (const remark of plan.remarks) logger.log("warn", remark);
  let ready = false;
  const log: Logger["log"] = (level, message, details) => {
    if (level === "warn" && !ready) warnings.push(message);
    logger.log(level, message, details);
  };
  return await runSession(plan.config, log, () => {
    ready = true;
    onReady(warnings);
    // One by one: V8 leaves out what comes after a flag that it does not know.
    for (const flag of v8Flags) {
      const set = native.setV8Flags(flag);
      if (set < 0) log("debug", `V8's flag ${flag} is not set: ${errnoName(set)}`);
    }
  });
}

/**
 * V8's nursery grows to 16 MiB under load and never shrinks; what a driver allocates is garbage at once, so that the 1 MiB
 * it starts with will do. After a walk of 126,000 objects this is the difference between 111 and 85 MiB of resident memory.
 *
 * V8 optimizes a function once it has run through 66 KiB of its bytecode, some four times. Most of a driver's functions get there within the first
 * seconds of work, when the optimizer takes the CPUs from the programs that wait for answers: later is better (docs/performance.md).
 *
 * None of it is said on the command line: with other flags than its own, V8 refuses the compiled code that Node brings of its modules,
 * and they load several times more slowly.
 */
const v8Flags = ["--semi-space-growth-factor=1", "--interrupt-budget=300000"];

/**
 * Lets go of the standard descriptors and the working directory of whoever started this process, and says that the mount answers. `nothing`
 * is /dev/null, opened before the mount, which may lie over /dev.
 */
export function becomeDaemon(plan: MountPlan, logger: Logger, nothing: number): void {
  // For the eyes of whoever lists processes.
  process.title = `cowfs --driver ${shown(plan.config.mountpoint)}`;
  process.chdir("/");
  for (const fd of [0, 1, 2]) {
    const done = native.dup2(nothing, fd);
    if (done < 0) logger.log("warn", `the standard descriptor ${fd} stays open: ${errnoName(done)}`);
  }
  closeSync(nothing);
  tellStarter("r", logger);
}

/** Nobody has been told of this mount if the process that waited for it is gone: it ends as if it had been told to. */
function tellStarter(text: string, logger: Logger): void {
  try {
    writeSync(STARTER_FD, text);
    closeSync(STARTER_FD);
  } catch (error) {
    logger.log("warn", "the process that started this driver has gone", { error: messageOf(error) });
    setImmediate(() => process.kill(process.pid, "SIGTERM"));
  }
}

/** The main function of a process that was started as a driver. Ends the process. */
export async function driverMain(): Promise<never> {
  let logger = silentLogger;
  let answered = false;
  const answer = (message: DriverAnswer): void => {
    if (answered) return;
    answered = true;
    tellStarter(`${JSON.stringify(message)}\n`, logger);
  };
  const failed = (error: unknown): void => {
    logger.log("error", "the driver failed", { stack: error instanceof Error ? error.stack : String(error) });
    answer({ error: messageOf(error), exitCode: error instanceof CommandError ? error.exitCode : EXIT_FAILURE });
  };
  // Later exceptions are the session's, which lives on.
  process.on("uncaughtException", (error) => {
    if (answered) return;
    failed(error);
    logger.flush();
    process.exit(EXIT_FAILURE);
  });
  let code = EXIT_FAILURE;
  try {
    const plan = JSON.parse(readLine(STARTER_FD)) as MountPlan;
    logger = await loggerOf(plan);
    code = await serve(plan, logger, (warnings) => answer({ ready: true, warnings }));
  } catch (error) {
    failed(error);
  }
  logger.flush();
  process.exit(code);
}

/** Reads up to the end of the first line: what the process that started this one wants. Throws CommandError. */
export function readLine(fd: number): string {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(65536);
    const length = readSync(fd, chunk);
    if (length === 0) throw new CommandError("the process that started this one ended before it said what for");
    chunks.push(chunk.subarray(0, length));
    if (chunk[length - 1] === 0x0a) return Buffer.concat(chunks).toString("utf8");
  }
}
