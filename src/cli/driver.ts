import { closeSync, readSync, writeSync } from "node:fs";
import { runSession } from "../session/session.js";
import { CommandError, EXIT_FAILURE, messageOf } from "./exit.js";
import type { Logger } from "./log.js";
import type { MountPlan } from "./mount-plan.js";

/** The descriptor of the socket to the process that starts a driver: the plan comes in, one answer goes out. */
export const STARTER_FD = 3;

/** The driver's one answer: an object on one line. */
export type DriverAnswer =
  | { readonly ready: true /** What whoever mounts should know. */; readonly warnings: readonly string[] }
  | { readonly error: string; readonly exitCode: number };

/** Logs nowhere. */
const silentLogger: Logger = { log: () => {}, flush: () => {} };

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
  });
}

/** The main function of a process that was started as a driver. Ends the process. */
export async function driverMain(): Promise<never> {
  let logger = silentLogger;
  let answered = false;
  const answer = (message: DriverAnswer): void => {
    if (answered) return;
    answered = true;
    try {
      writeSync(STARTER_FD, `${JSON.stringify(message)}\n`);
      closeSync(STARTER_FD);
    } catch (error) {
      logger.log("warn", "the process that started this driver has gone", { error: messageOf(error) });
    }
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
    if (plan.log !== undefined) logger = (await import("./log.js")).fileLogger(plan.log, plan.config);
    code = await serve(plan, logger, (warnings) => answer({ ready: true, warnings }));
  } catch (error) {
    failed(error);
  }
  logger.flush();
  process.exit(code);
}

/** Reads up to the end of the first line. */
function readLine(fd: number): string {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(65536);
    const length = readSync(fd, chunk);
    if (length === 0) throw new CommandError("the process that started this driver ended before it said what to mount");
    chunks.push(chunk.subarray(0, length));
    if (chunk[length - 1] === 0x0a) return Buffer.concat(chunks).toString("utf8");
  }
}
