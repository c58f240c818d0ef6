import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import type { VolumeRecord } from "./records.js";
import { treeSize } from "./tree-size.js";
import { volumeData } from "./volume-places.js";
import { isAnonymous, listVolumes, localDriver } from "./volume-records.js";
import { volumeUsers } from "./volume-users.js";
import { removeVolume } from "./volumes.js";

export interface Pruned {
  readonly removed: readonly string[];
  /** What was in them. */
  readonly bytes: number;
  readonly failures: readonly StoreError[];
}

/** Removes the volumes of the driver `local` that nobody uses: anonymous ones, or with `all` those with names too. */
export async function pruneVolumes(
  root: DataRoot,
  all: boolean,
  matches: (volume: VolumeRecord) => boolean = () => true,
): Promise<Pruned> {
  const removed: string[] = [];
  const failures: StoreError[] = [];
  let bytes = 0;
  for (const volume of listVolumes(root)) {
    // What others keep is not for us to tidy up.
    if (volume.driver !== localDriver) continue;
    if (!(all || isAnonymous(volume)) || !matches(volume) || volumeUsers(root, volume.name).length > 0) continue;
    try {
      // What is mounted there is not removed.
      const size = volume.options["device"] === undefined ? treeSize(volumeData(root, volume.name)) : 0;
      await removeVolume(root, volume.name);
      bytes += size;
      removed.push(volume.name);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      failures.push(error);
    }
  }
  return { removed, bytes, failures };
}
