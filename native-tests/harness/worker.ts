import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../tools/ops.py", import.meta.url));

/** A system call that failed, as an errno name. */
export class CallError extends Error {
  constructor(
    readonly code: string,
    call: string,
  ) {
    super(`${call}: ${code}`);
  }
}

/** What an operation answered. `volatile` results (descriptors, inode numbers) differ from run to run. */
export interface Answer {
  readonly text: string;
  readonly volatile: boolean;
}

interface Reply {
  r?: string;
  e?: string;
  x?: string;
  v?: boolean;
}

/** The process that the workers are forked from; one for each test file, ended with it. */
interface Nursery {
  readonly child: ChildProcess;
  readonly socket: string;
}

let nursery: Promise<Nursery> | undefined;

function startNursery(): Promise<Nursery> {
  const directory = mkdtempSync("/var/tmp/cowfs-workers-");
  const socket = `${directory}/socket`;
  const child = spawn("python3", ["-I", "-S", program, socket], { stdio: ["pipe", "pipe", "inherit"], cwd: "/" });
  return new Promise((resolve, reject) => {
    child.stdout.on("error", () => undefined);
    child.stdout.once("data", () => resolve({ child, socket }));
    child.once("exit", (code) => reject(new Error(`tools/ops.py ended with status ${code}`)));
    child.once("error", reject);
  });
}

/**
 * A child process that does exact system calls on request (tools/ops.py). The tests touch a mount only through one, so that a
 * mount that hangs costs a time-out and not the test run.
 */
export class Worker {
  readonly #waiting: ((reply: Reply) => void)[] = [];
  readonly #connection: Promise<Socket>;
  #pid = 0;
  #ended = false;

  /** @param base the tree that relative paths are in */
  constructor(base: string) {
    this.#connection = this.#connect(base);
    this.#connection.catch(() => undefined); // told by the first call
  }

  async #connect(base: string): Promise<Socket> {
    nursery ??= startNursery();
    const socket = connect((await nursery).socket);
    socket.on("error", () => undefined); // told by the end
    const lines = createInterface({ input: socket, crlfDelay: 0 });
    lines.on("error", () => undefined); // a killed worker resets the connection; told by the end
    lines.on("line", (line) => this.#waiting.shift()?.(JSON.parse(line) as Reply));
    socket.on("close", () => {
      this.#ended = true;
      for (const settle of this.#waiting.splice(0)) {
        settle({ x: "the worker ended" });
      }
    });
    const hello = await this.#exchange(socket, { base }, 10_000);
    this.#pid = Number(hello.r ?? 0);
    if (this.#pid === 0) {
      throw new Error(`no worker: ${hello.x}`);
    }
    return socket;
  }

  #exchange(socket: Socket, request: object, timeout: number): Promise<Reply> {
    return new Promise<Reply>((resolve) => {
      const timer = setTimeout(() => {
        this.#kill();
        resolve({ x: `no answer within ${timeout} ms: the operation hangs` });
      }, timeout);
      this.#waiting.push((reply) => {
        clearTimeout(timer);
        resolve(reply);
      });
      if (this.#ended) {
        this.#waiting.pop()?.({ x: "the worker has ended" });
      } else {
        socket.write(`${JSON.stringify(request)}\n`, "latin1");
      }
    });
  }

  #kill(): void {
    try {
      process.kill(this.#pid, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }

  /** Does one operation. @throws CallError for an errno, Error for a mistake in the test or a time-out (milliseconds) */
  async call(op: string, args: readonly string[], timeout = 30_000): Promise<Answer> {
    const call = `${op} ${args.join(" ")}`.slice(0, 200);
    const reply = await this.#exchange(await this.#connection, { op, args }, timeout);
    if (reply.e !== undefined) {
      throw new CallError(reply.e, call);
    }
    if (reply.x !== undefined) {
      throw new Error(`${call}: ${reply.x}`);
    }
    return { text: reply.r ?? "", volatile: reply.v === true };
  }

  /** Of the process; known once it has answered something. */
  get pid(): number {
    return this.#pid;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the process and waits until it holds nothing any more. */
  async end(): Promise<void> {
    const socket = await this.#connection.catch(() => undefined);
    if (socket === undefined || this.#ended) {
      return;
    }
    const gone = new Promise((resolve) => socket.once("close", resolve));
    this.#kill();
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 5_000))]);
    socket.destroy();
  }
}

let shared: Worker | undefined;

/** A process for building and recording trees: the same one for a whole test file, which holds nothing between calls. */
export function helper(): Worker {
  if (shared === undefined || shared.ended) {
    shared = new Worker("/");
  }
  return shared;
}
