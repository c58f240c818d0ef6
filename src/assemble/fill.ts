import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { containerLock } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import type { FilledVolumes } from "../store/filled-volume.js";
import { imageTrees, readImage } from "../store/images.js";
import { withLock } from "../store/lock.js";
import type { ContainerRecord, MountSpec } from "../store/records.js";
import { volumeMount } from "../store/volume-options.js";
import { volumeData } from "../store/volume-places.js";
import { localDriver, readVolume } from "../store/volume-records.js";
import { populateMounts } from "./apply.js";
import { isBelowDefaults } from "./bundle.js";
import { markFilled } from "./container-mounts.js";
import { withMerged } from "./merged.js";
import { isFilled, planMounts } from "./plan.js";
import type { UnionMounter } from "./union.js";

/**
 * Fills the volumes of a container that has just been made, where they are empty and the image has something for them; for that its root is
 * mounted. Those that were filled are added to `filled`. Throws StoreError.
 */
export async function fillVolumes(
  root: DataRoot,
  record: ContainerRecord,
  mounter: UnionMounter,
  filled: FilledVolumes,
): Promise<void> {
  const wanted = record.mounts.filter((spec) => isFilled(spec) && !isBelowDefaults(spec.target));
  if (wanted.length === 0) return;
  const trees = imageTrees(root, readImage(root, record.image.id));
  if (!wanted.some((spec) => mayNeed(root, trees, spec))) {
    await withLock(root, containerLock(record.id), () => markFilled(root, record));
    return;
  }
  await withMerged(root, record, mounter, false, async (merged, isRunning) => {
    // Somebody was quick: the start has done it.
    if (isRunning) return;
    const planned = await planMounts(root, wanted, { id: record.id, owner: "container" });
    await populateMounts(root, merged, planned, filled);
    markFilled(root, record);
  });
}

/** Whether something may have to be copied: the image has what a target begins with, and the volume is not known to have something. */
function mayNeed(root: DataRoot, trees: readonly string[], { source = "", target }: MountSpec): boolean {
  const [, first = ""] = target.split("/");
  if (!trees.some((tree) => lstatSync(join(tree, first), { throwIfNoEntry: false }) !== undefined)) return false;
  const { driver, options } = readVolume(root, source);
  const isPlain = driver === localDriver && volumeMount(options) === undefined;
  return !isPlain || readdirSync(volumeData(root, source)).length === 0;
}
