import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";
import { processStart } from "../native/process.js";
import { bundleFiles, type CommandLine, onTerminal, type Runtime, runCommand } from "./runtime.js";
import { signalExitCode, signalProcess } from "./signals.js";
import { StartError } from "./start-error.js";

/** How the standard descriptors of a container's process are connected. */
export type Attachment =
  /** To those of this process: stdin only if asked. */
  | { readonly kind: "foreground"; readonly stdin: boolean }
  /** Output goes to a file; stdin, if it is open, is a named pipe, which never ends: who reads it can write to it, too. */
  | { readonly kind: "detached"; readonly log: string; readonly stdin?: string | undefined };

/** How often what cannot be waited for is looked at, in milliseconds. */
const patience = 5;

/** The first process of a container, and the runtime that waits for it. */
export interface ContainerProcess {
  readonly pid: number;
  readonly processStart: string;
  /** Resolves to the exit code: 128 and more for a signal. */
  readonly ended: Promise<number>;
  /** Hands a signal on; that of a terminal's size goes to whoever keeps that terminal. */
  signal(signal: NodeJS.Signals): void;
}

/** Why an OCI runtime says it failed: the last error of its log. */
export function complaint(log: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(log, "utf8");
  } catch {
    return undefined;
  }
  const errors = text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => {
      try {
        return JSON.parse(line) as { level?: string; msg?: string };
      } catch {
        return {};
      }
    })
    .filter(({ level }) => level === "error" || level === "fatal");
  return errors.at(-1)?.msg;
}

/** A runtime failed before the container's program ran. */
export class RuntimeError extends StartError {
  constructor(runtime: Runtime, why: string, options?: ErrorOptions) {
    super(`${runtime.program}: ${why}`, 125, options);
  }
}

/** Whether a process is to have a terminal, and if so, whether its command can make one out of the terminal of this process. */
export type Terminal = "none" | "copied" | "made";

/**
 * Starts a command in a session of its own, so that the signals of a terminal reach this process only, which hands them on. It inherits no
 * more than its standard descriptors.
 */
export function spawnAttached(command: CommandLine, attachment: Attachment, terminal: Terminal): ChildProcess {
  const ttys = attachment.kind === "foreground" && [0, 1, 2].every((fd) => isatty(fd));
  if (terminal === "copied" && ttys) return spawnIn(command, ["inherit", "inherit", "inherit"]);
  const line = terminal === "none" ? command : onTerminal(command);
  // script(1) would hand on the end of its input: it gets a pipe that nobody writes to.
  const silent = terminal === "none" ? "ignore" : "pipe";
  if (attachment.kind === "foreground") {
    return spawnIn(line, [attachment.stdin ? "inherit" : silent, "inherit", "inherit"]);
  }
  const log = openSync(attachment.log, "a", 0o600);
  const stdin = attachment.stdin === undefined ? undefined : openSync(attachment.stdin, "r+");
  try {
    return spawnIn(line, [stdin ?? silent, log, log]);
  } finally {
    closeSync(log);
    if (stdin !== undefined) closeSync(stdin);
  }
}

function spawnIn({ program, args }: CommandLine, stdio: StdioOptions): ChildProcess {
  return spawn(program, args, { detached: true, cwd: "/", stdio });
}

/** How a child ended, as a shell's exit code. */
export function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(signal === null ? (code ?? 255) : signalExitCode(signal)));
  });
}

/**
 * Runs a bundle. Resolves when the container's program runs, or has run already. Throws RuntimeError if the runtime failed instead.
 */
export async function startProcess(
  runtime: Runtime,
  bundle: string,
  id: string,
  attachment: Attachment,
  { terminal, ownNetwork }: { readonly terminal: boolean; readonly ownNetwork: boolean },
): Promise<ContainerProcess> {
  const files = bundleFiles(bundle);
  const how = !terminal ? "none" : runtime.kind === "oci" ? "copied" : "made";
  const child = spawnAttached(runCommand(runtime, bundle, id, ownNetwork), attachment, how);
  let code: number | undefined;
  const ended = endOf(child).then((result) => {
    code = result;
    return result;
  });
  ended.catch(() => {});
  // The end is looked at before the files: what it left is complete then.
  for (;;) {
    const over = code;
    const { pid, start } = readPid(files.pid) ?? {};
    const began = pid !== undefined && start !== undefined && hasBegun(runtime, files.started, pid);
    if (over !== undefined) {
      const why = runtime.kind === "oci" ? runtimeFailure(files, over) : unshareFailure(files.started, over);
      if (why !== undefined) throw new RuntimeError(runtime, why);
      return { pid: pid ?? 0, processStart: start ?? "", ended, signal: () => {} };
    }
    if (began) {
      const signal = (name: NodeJS.Signals): void => {
        if (name === "SIGWINCH" && terminal) child.kill(name);
        else signalProcess(pid, start, name);
      };
      return { pid, processStart: start, ended: ended.then((result) => orphaned(pid, start, result)), signal };
    }
    await Promise.race([sleep(patience), ended]);
  }
}

/** Where somebody has killed the runtime, the container's processes must not go on without anybody who waits for them. */
async function orphaned(pid: number, start: string, code: number): Promise<number> {
  if (processStart(pid) !== start) return code;
  signalProcess(pid, start, "SIGKILL");
  while (processStart(pid) === start) await sleep(patience);
  return 128 + 9;
}

/** An OCI runtime writes the pid, and the script of `unshare` also when the process began. */
export function readPid(path: string): { pid: number; start: string | undefined } | undefined {
  try {
    const [word = "", began] = readFileSync(path, "latin1").trim().split(" ");
    const pid = Number(word);
    return Number.isInteger(pid) && pid > 0 ? { pid, start: began ?? processStart(pid) } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the process has become the container's program: it is no longer the runtime, nor a copy that the runtime makes of itself. */
function hasBegun(runtime: Runtime, started: string, pid: number): boolean {
  if (runtime.kind === "unshare") return existsSync(started);
  try {
    const program = readlinkSync(`/proc/${pid}/exe`);
    return program !== realpathSync(runtime.program) && !program.startsWith("/memfd:");
  } catch {
    return false;
  }
}

/** Before it starts the program, an OCI runtime writes the pid. */
function runtimeFailure(
  { log, pid }: { readonly log: string; readonly pid: string },
  code: number,
): string | undefined {
  return (
    complaint(log) ?? (existsSync(pid) ? undefined : `it has started nothing, and not said why (exit code ${code})`)
  );
}

function unshareFailure(started: string, code: number): string | undefined {
  return existsSync(started)
    ? undefined
    : `the namespaces or mounts of the container could not be made (exit code ${code})`;
}
