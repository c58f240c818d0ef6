import { setTimeout as sleep } from "node:timers/promises";
import { containerLock, isAlive, isWatched, readState } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import { NotFoundError, StoreError } from "../store/error.js";
import { withLock } from "../store/lock.js";
import type { ContainerRecord, ContainerState } from "../store/records.js";
import { warn } from "../store/warn.js";
import { recoverContainer } from "./container.js";
import { signalNumber, signalProcess } from "./signals.js";
import type { UnionMounter } from "./union.js";

/** How often a process that is not ours is looked at, in milliseconds. */
const patience = 20;

/**
 * Waits until a container has ended and that is on record; one whose monitor is gone is recovered. Returns its state: undefined if it was
 * removed at its end, or still runs after `limit` milliseconds.
 */
export async function untilEnded(
  root: DataRoot,
  id: string,
  mounter: UnionMounter,
  limit = Number.POSITIVE_INFINITY,
): Promise<ContainerState | "removed" | "running"> {
  const deadline = performance.now() + limit;
  try {
    for (;;) {
      const state = readState(root, id);
      if (state.status !== "running") {
        if (state.finished !== undefined || state.status === "created") return state;
        return await withLock(root, containerLock(id), () => recoverContainer(root, id, mounter));
      }
      // Once its process is gone, its monitor needs a moment to tidy up.
      if (performance.now() >= deadline && (isAlive(state) || !isWatched(state))) return "running";
      await sleep(patience);
    }
  } catch (error) {
    if (error instanceof NotFoundError) return "removed";
    throw error;
  }
}

/** Sends a signal to the first process of a container. Throws StoreError if it does not run. */
export function signalContainer(root: DataRoot, { id, name }: ContainerRecord, signal: number): void {
  const state = readState(root, id);
  if (state.status !== "running" || !signalFirst(state, signal)) {
    throw new StoreError(`container ${name} is not running`);
  }
}

/** To the first process of a container; false if that is gone. */
export function signalFirst({ pid, processStart }: ContainerState, signal: number | NodeJS.Signals): boolean {
  return pid !== undefined && processStart !== undefined && signalProcess(pid, processStart, signal);
}

const SIGKILL = 9;

/**
 * Asks a container to end, and makes it end after `seconds`; returns when it has, and says what its monitor could not undo, which nobody has
 * heard. One that does not run is left as it is.
 */
export async function stopContainer(
  root: DataRoot,
  record: ContainerRecord,
  mounter: UnionMounter,
  seconds: number,
): Promise<void> {
  const state = readState(root, record.id);
  if (state.status !== "running") return;
  const ask = signalNumber(record.process.stopSignal) ?? SIGKILL;
  let after: ContainerState | "removed" | "running" = "running";
  if (seconds > 0 && signalFirst(state, ask)) after = await untilEnded(root, record.id, mounter, seconds * 1000);
  if (after === "running") {
    signalFirst(state, SIGKILL);
    after = await untilEnded(root, record.id, mounter);
  }
  if (typeof after === "object" && after.complaint !== undefined) warn(after.complaint);
}
