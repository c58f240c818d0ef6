import { spawn } from "node:child_process";

/** How a command ended. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How many times as long as usual everything may take: a machine that is emulated is slow. */
export const patience = Number(process.env["COWFS_TEST_PATIENCE"] ?? 1);

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** Milliseconds; then the whole process group is killed. */
  readonly timeout?: number;
}

/** Runs a command to its end, whatever its status. Output is text of one character a byte. @throws on a time-out */
export function attempt(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? "/",
      env: options.env ?? process.env,
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    const output = { stdout: "", stderr: "" };
    // Children that are killed may leave their pipes broken; how they ended is told by `close`.
    child.stdout.on("error", () => undefined);
    child.stderr.on("error", () => undefined);
    child.stdout.on("data", (data: Buffer) => {
      output.stdout += data.toString("latin1");
    });
    child.stderr.on("data", (data: Buffer) => {
      output.stderr += data.toString("latin1");
    });
    child.stdin.on("error", () => undefined); // it may end without reading
    child.stdin.end(options.input ?? "");
    const timeout = (options.timeout ?? 60_000) * patience;
    const timer = setTimeout(() => {
      try {
        process.kill(-(child.pid ?? 0), "SIGKILL");
      } catch {
        child.kill("SIGKILL");
      }
      reject(
        new Error(`${program} ${args.join(" ")}: not finished within ${timeout} ms\n${output.stdout}${output.stderr}`),
      );
    }, timeout);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`${program}: ${error.message}`, { cause: error }));
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ status: code ?? (signal === null ? -1 : 128), ...output });
    });
  });
}

/** Runs a command that must succeed, and returns what it said. @throws with its output if its status is not 0 */
export async function command(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await attempt(program, args, options);
  if (status !== 0) {
    throw new Error(`${program} ${args.join(" ")}: status ${status}\n${stdout}${stderr}`.slice(0, 6_000));
  }
  return stdout;
}

/** Runs a shell script that must succeed, stopping at its first failing command. */
export function shell(script: string, options: CommandOptions = {}): Promise<string> {
  return command("/bin/bash", ["-euo", "pipefail", "-c", script], options);
}
