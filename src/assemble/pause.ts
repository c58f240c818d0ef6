import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { processStart } from "../native/process.js";
import { StoreError } from "../store/error.js";
import { signalProcess } from "./signals.js";

/** How often and how long stopped processes are waited for, in milliseconds: one that waits for a disk stops later. */
const patience = 2;
const limit = 10_000;

/** The processes of the pid namespace of `pid`, each with when it began. */
function processesOf(pid: number): Map<number, string> {
  const namespace = namespaceOf(pid);
  const found = new Map<number, string>();
  if (namespace === undefined || namespace === namespaceOf(process.pid)) return found;
  for (const one of readdirSync("/proc").map(Number)) {
    if (!(one > 0) || namespaceOf(one) !== namespace) continue;
    const start = processStart(one);
    // Asked again: the pid may have come to mean another process before its start was read.
    if (start !== undefined && namespaceOf(one) === namespace) found.set(one, start);
  }
  return found;
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** The letter of proc(5): T is stopped. Undefined if the process is gone. */
function stateOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2, text.lastIndexOf(")") + 3);
  } catch {
    return undefined;
  }
}

const isStill = (pid: number): boolean => /^[TtZX]?$/.test(stateOf(pid) ?? "");

/**
 * Does something while the processes of a container stand still: they are stopped by SIGSTOP, until no new ones show up, and those that were
 * not stopped before go on afterwards. Throws StoreError if they do not stand still in time.
 */
export async function whilePaused<T>(pid: number, work: () => Promise<T>): Promise<T> {
  const stopped = new Map<number, string>();
  try {
    const deadline = performance.now() + limit;
    for (;;) {
      const moving = [...processesOf(pid)].filter(([one]) => !isStill(one));
      if (moving.length === 0) break;
      if (performance.now() > deadline) {
        throw new StoreError(
          `process ${moving[0]?.[0]} of the container does not stand still: try again, or use --no-pause`,
        );
      }
      for (const [one, start] of moving) if (signalProcess(one, start, "SIGSTOP")) stopped.set(one, start);
      await sleep(patience);
    }
    return await work();
  } finally {
    for (const [one, start] of stopped) signalProcess(one, start, "SIGCONT");
  }
}
