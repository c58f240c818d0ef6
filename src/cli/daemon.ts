import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, readdirSync, readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { shown } from "../text.js";
import type { DriverAnswer } from "./driver.js";
import { CommandError, UsageError } from "./exit.js";
import type { MountPlan } from "./mount-plan.js";

const O_CLOEXEC = 0o2000000;

/**
 * Closes the descriptors this process was started with, but for 0 to 2: a driver must not keep a caller's pipe or lock for
 * as long as the mount lives. They are those without FD_CLOEXEC; Node opens its own with it.
 */
export function closeInherited(): void {
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (fd <= 2) continue;
    try {
      const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];
      if (flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0) closeSync(fd);
    } catch {
      // It was the descriptor of the listing itself.
    }
  }
}

/**
 * Starts the driver of a plan as a daemon: a session of its own (setsid), standing in `/`, with /dev/null as its standard
 * descriptors. Resolves once the mount answers, to what the driver has warned of; otherwise throws CommandError
 * with its own reason.
 */
export async function startDriver(plan: MountPlan): Promise<readonly string[]> {
  const script = process.argv[1];
  if (script === undefined) throw new CommandError("the program's own path is unknown");
  closeInherited();
  // One thread of V8's beside the main one, as the launcher says. The mountpoint is only for the eyes of whoever lists processes.
  const child = spawn(
    process.execPath,
    ["--v8-pool-size=1", ...process.execArgv, script, "--driver", shown(plan.config.mountpoint)],
    {
      detached: true,
      cwd: "/",
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    },
  );
  // Whoever interrupts this command does not want the mount either.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill("SIGTERM"));

  const socket = child.stdio[3] as Duplex;
  socket.on("error", () => {});
  socket.write(`${JSON.stringify(plan)}\n`);
  const text = await answerOf(child, socket);
  const answer = text === "" ? undefined : (JSON.parse(text) as DriverAnswer);
  if (answer !== undefined && "ready" in answer) {
    socket.destroy();
    child.unref();
    return answer.warnings;
  }
  // Only when it has ended has it let go of everything.
  const end = await ending(child);
  if (answer === undefined) {
    throw new CommandError(`${shown(plan.config.mountpoint)}: the driver ended before the mount was ready (${end})`);
  }
  throw answer.exitCode === 2 ? new UsageError(answer.error) : new CommandError(answer.error);
}

/** What the driver writes up to the end of a line, or "" if it ends without a word. */
function answerOf(child: ChildProcess, socket: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("error", (cause) =>
      reject(new CommandError(`the driver cannot be started: ${cause.message}`, { cause })),
    );
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.endsWith("\n")) resolve(text);
    });
    socket.once("close", () => resolve(""));
  });
}

/** How a process ended, for people. */
function ending(child: ChildProcess): Promise<string> {
  const describe = (code: number | null, signal: string | null): string =>
    signal === null ? `exit code ${code}` : `killed by ${signal}`;
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve(describe(child.exitCode, child.signalCode));
  }
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve(describe(code, signal))));
}
