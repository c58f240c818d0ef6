import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "../store/error.js";
import { sendSignal } from "./signals.js";

/** How often and how long stopped processes are waited for, in milliseconds: one that waits for a disk stops later. */
const patience = 2;
const limit = 10_000;

/** The processes of the pid namespace of `pid`. */
function processesOf(pid: number): number[] {
  const namespace = namespaceOf(pid);
  if (namespace === undefined || namespace === namespaceOf(process.pid)) return [];
  return readdirSync("/proc")
    .map(Number)
    .filter((one) => Number.isInteger(one) && one > 0 && namespaceOf(one) === namespace);
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
  const stopped = new Set<number>();
  try {
    const deadline = performance.now() + limit;
    for (;;) {
      const moving = processesOf(pid).filter((one) => !isStill(one));
      if (moving.length === 0) break;
      if (performance.now() > deadline) {
        throw new StoreError(
          `process ${moving[0]} of the container does not stand still: try again, or use --no-pause`,
        );
      }
      for (const one of moving) if (sendSignal(one, "SIGSTOP")) stopped.add(one);
      await sleep(patience);
    }
    return await work();
  } finally {
    for (const one of stopped) sendSignal(one, "SIGCONT");
  }
}
