import { spawnSync } from "node:child_process";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";
import { needTool } from "../../assemble/runtime.js";
import { forwardSignals } from "../../assemble/signals.js";
import { signalFirst } from "../../assemble/stop.js";
import { findContainer, placesOf, readState } from "../../store/containers.js";
import { type DataRoot, reason } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import type { ContainerState } from "../../store/records.js";
import { complain, print, UsageError } from "../exit.js";
import { DetachKeys, usualKeys } from "./detach-keys.js";
import { exitCodeOf, openEnd } from "./end.js";

export interface AttachWords {
  /** False with `--no-stdin`. */
  readonly stdin?: boolean;
  readonly sigProxy?: string | boolean;
  readonly detachKeys?: string;
}

/** How often the log is looked at, in milliseconds. */
const patience = 20;
const chunk = Buffer.alloc(64 * 1024);

/**
 * `cowfs attach`: shows what a container that runs detached writes from now on, and hands it input and signals, until it ends. Returns its exit
 * code; 0 if the user leaves it by the keys for that.
 */
export async function attachCommand(root: DataRoot, name: string, words: AttachWords): Promise<number> {
  const proxies = booleanOf(words.sigProxy);
  const { id, name: own, process: wish } = findContainer(root, name);
  const state = readState(root, id);
  if (state.status !== "running") throw new StoreError(`container ${own} does not run: start it first`);
  const { log: logPath, input: inputPath } = placesOf(root, id);
  if (state.detached !== true) {
    throw new StoreError(`container ${own} runs in the foreground of process ${state.monitor?.pid}, and has no log`);
  }
  const isTyped = words.stdin !== false && wish.openStdin;
  if (isTyped && wish.terminal && !isatty(0)) {
    throw new UsageError("the input device is not a terminal: attach with --no-stdin, or in a terminal");
  }
  const keys = new DetachKeys(words.detachKeys ?? usualKeys);
  const [log, end] = [opened(logPath), openEnd(root, id)];
  const undo: (() => void)[] = [() => closeSync(log), () => closeSync(end)];
  let left = false;
  const leave = (): void => {
    left = true;
  };
  try {
    const input = isTyped ? openInput(inputPath) : undefined;
    if (input !== undefined) {
      undo.push(() => input.destroy());
      undo.push(wish.terminal ? typeInto(input, keys, leave) : pourInto(input));
    }
    if (wish.terminal) undo.push(followSize(state));
    else if (proxies) undo.push(forwardSignals((signal) => void signalFirst(state, signal)));
    for (let at = fstatSync(log).size; ; await sleep(patience)) {
      // The end is asked for before the log: what was written before is read then.
      const code = exitCodeOf(end, state);
      at = show(log, at);
      if (code !== undefined) return code;
      if (left) break;
    }
  } finally {
    for (const one of undo.reverse()) one();
  }
  complain(`you have left ${own}, which goes on`);
  return 0;
}

function booleanOf(word: string | boolean | undefined): boolean {
  if (word === undefined || word === true || word === "true" || word === "1") return true;
  if (word === false || word === "false" || word === "0") return false;
  throw new UsageError(`--sig-proxy takes true or false, not ${word}`);
}

function opened(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
}

function show(log: number, from: number): number {
  for (let at = from; ; ) {
    const length = readSync(log, chunk, 0, chunk.length, at);
    if (length === 0) return at;
    at += length;
    print(Buffer.from(chunk.subarray(0, length)));
  }
}

/** The pipe that is the container's standard input; undefined if nobody reads it any more. */
function openInput(path: string): Socket | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENXIO") return undefined;
    throw new StoreError(`${path} cannot be opened: ${reason(cause)}`, { cause });
  }
  const input = new Socket({ fd, readable: false, writable: true });
  // The container has ended: that is seen elsewhere.
  input.on("error", () => {});
  return input;
}

/** Hands on what comes in here; its end means nothing to the container, whose input stays open. Returns what ends that. */
function pourInto(input: Socket): () => void {
  process.stdin.pipe(input, { end: false });
  return () => void process.stdin.unpipe(input).destroy();
}

/** Hands on what is typed, until the keys are that end it. Returns what ends that, and makes the terminal as it was. */
function typeInto(input: Socket, keys: DetachKeys, leave: () => void): () => void {
  const { stdin } = process;
  // Node's own raw mode changes newlines that are written, which programs with a screen mean as they are.
  const before = stty("-g").trim();
  stty("raw", "-echo");
  stdin.on("data", (typed: Buffer) => {
    const passed = keys.push(typed);
    if (passed === undefined) leave();
    else if (!input.write(passed)) {
      stdin.pause();
      input.once("drain", () => stdin.resume());
    }
  });
  const restore = (): void => void stty(before);
  process.once("exit", restore);
  // Those of keys do not come in a raw terminal.
  const ended = (signal: NodeJS.Signals): void => {
    restore();
    process.kill(process.pid, signal);
  };
  const signals = ["SIGTERM", "SIGHUP", "SIGINT"] as const;
  for (const signal of signals) process.once(signal, ended);
  return () => {
    for (const signal of signals) process.removeListener(signal, ended);
    process.removeListener("exit", restore);
    restore();
    stdin.destroy();
  };
}

/** stty(1) on this terminal, or another one. Returns what it says. */
function stty(...args: readonly string[]): string {
  const program = needTool("stty", "coreutils");
  return spawnSync(program, args, { stdio: ["inherit", "pipe", "ignore"], encoding: "utf8" }).stdout;
}

/** Gives the container's terminal the size of this one, now and when that changes. Returns what ends that. */
function followSize({ pid }: ContainerState): () => void {
  const { stdout } = process;
  if (!stdout.isTTY) return () => {};
  const resize = (rows = stdout.rows): void => {
    // One whose program has given up its terminal has no size.
    stty("-F", `/proc/${pid}/fd/0`, "rows", String(rows), "cols", String(stdout.columns));
  };
  // A program that hears of another size draws its screen anew.
  resize(stdout.rows + 1);
  resize();
  const listener = (): void => resize();
  stdout.on("resize", listener);
  return () => void stdout.removeListener("resize", listener);
}
