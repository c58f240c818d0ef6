import { join } from "node:path";
import { publish } from "../atomic.js";
import type { DataRoot } from "../data-root.js";
import { StoreError, undoAfter } from "../error.js";
import { storeLock, withLock } from "../lock.js";
import type { VolumeRecord } from "../records.js";
import { makeTemporary } from "../temporary.js";
import { volumeDirectory } from "../volume-places.js";
import { findVolume, withVolumeLock } from "../volume-records.js";
import { volumeUsers } from "../volume-users.js";
import { warn } from "../warn.js";
import { VolumePlugin } from "./plugin.js";
import { forgetUses, releaseLeft, usersOfUse, usesOf } from "./uses.js";

/**
 * Has a plugin remove a volume, and then its record. Throws StoreError if it is in use, or the plugin does not do it; the record goes even so
 * if `force`. The record is put aside before the plugin is asked, so that no new container takes the volume meanwhile.
 */
export async function removeOnPlugin(root: DataRoot, { name, driver }: VolumeRecord, force: boolean): Promise<void> {
  const temporary = await makeTemporary(root, "gone");
  const aside = join(temporary.path, name);
  try {
    // A command that fills it may hold its lock for long.
    refuseIfUsed(root, name);
    await withVolumeLock(root, name, async () => {
      const released = await releaseLeft(root, name);
      const uses = usesOf(root, name);
      await withLock(root, storeLock, () => {
        refuseIfUsed(root, name);
        publish(volumeDirectory(root, name), aside);
      });
      try {
        for (const { problem, isOver } of released) {
          // It would not answer to this either.
          if (!isOver) throw problem;
          if (problem !== undefined) warn(problem.message);
        }
        await new VolumePlugin(driver, "leaves").remove(name);
      } catch (error) {
        // Somebody may have found it at the plugin meanwhile, and made a record anew.
        const restore = (): void => {
          if (findVolume(root, name) === undefined) publish(aside, volumeDirectory(root, name));
        };
        if (!force) await undoAfter(error, restore);
        forgetUses(root, uses);
        throw error;
      }
      forgetUses(root, uses);
    });
  } finally {
    temporary.dispose();
  }
}

/** Containers, mountpoints of `cowfs mount -v`, and commands that read or fill the volume. */
function refuseIfUsed(root: DataRoot, name: string): void {
  const others = usesOf(root, name).flatMap(usersOfUse);
  const users = [...volumeUsers(root, name), ...others];
  if (users.length > 0) throw new StoreError(`remove ${name}: volume is in use - [${users.join(", ")}]`);
}
