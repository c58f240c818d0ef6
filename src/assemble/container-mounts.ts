import { readState, writeState } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import type { ContainerRecord } from "../store/records.js";
import { isFilled, type PlannedMount, planMounts } from "./plan.js";

/**
 * What is to be mounted over the root of a container. Its volumes are filled from the image once: what it, or somebody else, has removed from
 * them since does not come back. The lock of the container is held, and `releaseAll` must be called in any case.
 */
export async function plannedMounts(root: DataRoot, { id, mounts }: ContainerRecord): Promise<PlannedMount[]> {
  const planned = await planMounts(root, mounts, { id, owner: "container" });
  const { started, filled } = readState(root, id);
  if (started === undefined && filled !== true) return planned;
  return planned.map((mount) => ({ ...mount, populate: undefined }));
}

/** Records that the volumes of a container had their chance, if it has any. The lock of the container is held. */
export function markFilled(root: DataRoot, { id, mounts }: ContainerRecord): void {
  const state = readState(root, id);
  if (state.started !== undefined || state.filled === true || !mounts.some(isFilled)) return;
  writeState(root, id, { ...state, filled: true });
}
