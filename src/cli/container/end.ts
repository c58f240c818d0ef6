import { openSync, readSync } from "node:fs";
import { isAlive, isWatched, placesOf } from "../../store/containers.js";
import { type DataRoot, reason } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import type { ContainerState } from "../../store/records.js";

const buffer = Buffer.alloc(16);

/** Opens the file in which the monitor of a detached container will leave its exit code. Throws StoreError. */
export function openEnd(root: DataRoot, id: string): number {
  const { end } = placesOf(root, id);
  try {
    return openSync(end, "r");
  } catch (cause) {
    throw new StoreError(`${end} cannot be read: ${reason(cause)}`, { cause });
  }
}

/** The exit code, once all of that run is over; 255 if its monitor was killed, and the program has ended since. `state` is that of the run. */
export function exitCodeOf(end: number, state: ContainerState): number | undefined {
  // Asked before: what the monitor wrote is there when it is gone.
  const nobody = !isWatched(state) && !isAlive(state);
  const length = readSync(end, buffer, 0, buffer.length, 0);
  const code = /^(\d+)\n$/.exec(buffer.latin1Slice(0, length))?.[1];
  return code === undefined ? (nobody ? 255 : undefined) : Number(code);
}
