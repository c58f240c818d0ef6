import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, readdirSync, readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { StartError } from "../assemble/start-error.js";
import { shown } from "../text.js";
import type { MonitorAnswer, MonitorRequest } from "./container/monitor.js";
import type { DriverAnswer } from "./driver.js";
import { CommandError, UsageError } from "./exit.js";
import type { MountPlan } from "./mount-plan.js";

const O_CLOEXEC = 0o2000000;

/**
 * Closes the descriptors this process was started with, but for 0 to 2: a driver must not keep a caller's pipe or lock for
 * as long as the mount lives. They are those without FD_CLOEXEC; Node opens its own with it.
 */
function closeInherited(): void {
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

/** How a helper process of this program ended that gave no answer. */
class NoAnswer {
  constructor(readonly end: string) {}
}

/**
 * Starts this program once more as a daemon: a session of its own (setsid), standing in `/`, with /dev/null as its standard descriptors.
 * It is handed a request through a socket, its descriptor 3, and answers with one line. Resolves to that; with an answer that is no success
 * the process has ended, too. Throws CommandError if it cannot be started.
 */
async function askDaemon<Answer extends object>(
  words: readonly string[],
  request: object,
  isSuccess: (answer: Answer) => boolean,
): Promise<Answer | NoAnswer> {
  const script = process.argv[1];
  if (script === undefined) throw new CommandError("the program's own path is unknown");
  closeInherited();
  // One thread of V8's beside the main one, as the launcher says.
  const child = spawn(process.execPath, ["--v8-pool-size=1", ...process.execArgv, script, ...words], {
    detached: true,
    cwd: "/",
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  // Whoever interrupts this command does not want the mount either.
  const interrupt = (): void => void child.kill("SIGTERM");
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, interrupt);
  try {
    const socket = child.stdio[3] as Duplex;
    socket.on("error", () => {});
    socket.write(`${JSON.stringify(request)}\n`);
    const text = await answerOf(child, socket);
    const answer = text === "" ? undefined : (JSON.parse(text) as Answer);
    if (answer !== undefined && isSuccess(answer)) {
      socket.destroy();
      child.unref();
      return answer;
    }
    // Only when it has ended has it let go of everything.
    const end = await ending(child);
    return answer ?? new NoAnswer(end);
  } finally {
    for (const signal of signals) process.removeListener(signal, interrupt);
  }
}

/**
 * Starts the driver of a plan as a daemon. Resolves once the mount answers, to what the driver has warned of; otherwise throws CommandError
 * with its own reason.
 */
export async function startDriver(plan: MountPlan): Promise<readonly string[]> {
  // The mountpoint is only for the eyes of whoever lists processes.
  const mountpoint = shown(plan.config.mountpoint);
  const answer = await askDaemon<DriverAnswer>(["--driver", mountpoint], plan, (one) => "ready" in one);
  if (answer instanceof NoAnswer) {
    throw new CommandError(`${mountpoint}: the driver ended before the mount was ready (${answer.end})`);
  }
  if ("ready" in answer) return answer.warnings;
  throw answer.exitCode === 2 ? new UsageError(answer.error) : new CommandError(answer.error);
}

/**
 * Starts the monitor of a container as a daemon. Resolves once the container's program runs. Throws StartError as the monitor says, or
 * CommandError if it ended without a word.
 */
export async function startMonitor(request: MonitorRequest): Promise<void> {
  const answer = await askDaemon<MonitorAnswer>(
    ["--monitor", request.id.slice(0, 12)],
    request,
    (one) => "ready" in one,
  );
  if (answer instanceof NoAnswer)
    throw new CommandError(`the monitor of the container ended too early (${answer.end})`);
  if ("error" in answer) throw new StartError(answer.error, answer.exitCode);
}

/** What the process writes up to the end of a line, or "" if it ends without a word. */
function answerOf(child: ChildProcess, socket: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("error", (cause) =>
      reject(new CommandError(`a helper process cannot be started: ${cause.message}`, { cause })),
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
