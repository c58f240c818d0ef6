import { EINVAL, errnoName } from "../errno.js";
import { UMOUNT_NOFOLLOW } from "../native/constants.js";
import { native } from "../native/index.js";
import { topMountOn } from "../native/mountinfo.js";
import { bytesOf } from "../text.js";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import { storeLock, withLock } from "./lock.js";
import type { VolumeRecord } from "./records.js";
import { volumeMount } from "./volume-options.js";
import { volumeData } from "./volume-places.js";

/**
 * Mounts what the options of a volume say over its data directory, once for all who use it; it stays until the volume is removed, or the
 * machine restarts. Volumes without such options are left alone. Throws StoreError.
 */
export async function mountVolume(root: DataRoot, volume: VolumeRecord): Promise<void> {
  const wanted = volumeMount(volume.options);
  if (wanted === undefined) return;
  await withLock(root, storeLock, () => {
    const target = bytesOf(volumeData(root, volume.name));
    if (topMountOn(target) !== undefined) return;
    const result = native.mount(
      bytesOf(wanted.device),
      target,
      bytesOf(wanted.type),
      wanted.flags,
      bytesOf(wanted.data),
    );
    if (result < 0) {
      const what = `mount ${wanted.device} as ${wanted.type}${wanted.data === "" ? "" : ` (${wanted.data})`}`;
      throw new StoreError(`failed to mount local volume ${volume.name}: ${what}: ${errnoName(result)}`);
    }
  });
}

/** Takes away what `mountVolume` mounted. Throws StoreError if it is in use. */
export function unmountVolume(root: DataRoot, name: string): void {
  const target = bytesOf(volumeData(root, name));
  while (topMountOn(target) !== undefined) {
    const result = native.umount(target, UMOUNT_NOFOLLOW);
    if (result < 0 && result !== -EINVAL) {
      throw new StoreError(
        `remove ${name}: volume is in use: ${volumeData(root, name)} cannot be unmounted: ${errnoName(result)}`,
      );
    }
    if (result < 0) return;
  }
}
