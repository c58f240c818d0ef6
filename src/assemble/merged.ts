import { errnoName } from "../errno.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { containerLock, placesOf, readState } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError, undoAfter } from "../store/error.js";
import { withLock } from "../store/lock.js";
import type { ContainerRecord } from "../store/records.js";
import { releaseAll } from "../store/volume-drivers/uses.js";
import { warn } from "../store/warn.js";
import { applyMounts, undoMounts } from "./apply.js";
import { recoverContainer } from "./container.js";
import { markFilled, plannedMounts } from "./container-mounts.js";
import { driverOf } from "./drivers/choose.js";
import { bytes } from "./root-view.js";
import { type UnionMounter, unmountUnion } from "./union.js";

/**
 * Does something with the merged view of a container, which is mounted for that if the container does not run; with its volumes and binds if
 * `volumes`. The lock of the container is held meanwhile, so that it neither starts nor is removed. `running` tells whether it runs.
 */
export function withMerged<T>(
  root: DataRoot,
  record: ContainerRecord,
  mounter: UnionMounter,
  volumes: boolean,
  work: (merged: string, running: boolean) => T | Promise<T>,
): Promise<T> {
  return withLock(root, containerLock(record.id), async () => {
    const { merged } = placesOf(root, record.id);
    await recoverContainer(root, record.id, mounter);
    if (readState(root, record.id).status === "running") return await work(merged, true);
    await driverOf(record).mount(root, record, mounter);
    const undo = async (): Promise<void> => {
      // Whoever looks at a volume from outside keeps it; the container does not.
      undoMounts(merged, true);
      await unmountUnion(mounter, merged);
      for (const problem of await releaseAll(root, record.id)) warn(problem.message);
    };
    let result: T;
    try {
      if (volumes) {
        await applyMounts(root, merged, await plannedMounts(root, record), mounter);
        markFilled(root, record);
      }
      result = await work(merged, false);
    } catch (error) {
      return await undoAfter(error, undo);
    }
    await undo();
    return result;
  });
}

/** The union alone, whatever is mounted over it: calls `work` with a path that is good for as long as it runs. */
export async function withoutMounts<T>(merged: string, work: (path: string) => T | Promise<T>): Promise<T> {
  const fd = native.openFollow(bytes(merged), O_PATH | O_DIRECTORY);
  if (fd < 0) throw new StoreError(`${merged} cannot be opened: ${errnoName(fd)}`);
  const clone = native.cloneMount(fd, 0);
  native.close(fd);
  if (clone < 0) throw new StoreError(`${merged} cannot be looked at without its mounts: ${errnoName(clone)}`);
  try {
    return await work(`/proc/self/fd/${clone}`);
  } finally {
    native.close(clone);
  }
}
