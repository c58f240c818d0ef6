import type { DataRoot } from "../data-root.js";
import { StoreError, undoAfter } from "../error.js";
import { withLock } from "../lock.js";
import type { VolumeRecord } from "../records.js";
import { findVolume, publishVolume } from "../volume-records.js";
import { findPlugin } from "./discovery.js";
import { findOnPlugin } from "./lookup.js";
import { unknownPlugin, VolumePlugin } from "./plugin.js";

/**
 * Has a plugin make a volume, unless it has one of that name, and makes a record of it. Throws StoreError, and leaves nothing behind then; what
 * a plugin has made that did not say so, the next one finds.
 */
export async function createOnPlugin(root: DataRoot, record: VolumeRecord): Promise<VolumeRecord> {
  const { name, driver, options } = record;
  // A name that is written wrongly is not worth waiting for.
  if (findPlugin(driver) === undefined) throw new StoreError(`create ${name}: ${unknownPlugin(driver)}`);
  return await withLock(root, `volume-driver-${driver}`, async () => {
    const other = findVolume(root, name);
    if (other !== undefined) return other;
    const plugin = new VolumePlugin(driver, "needed");
    const isNew = (await findOnPlugin(plugin, name)) === undefined;
    if (isNew) await plugin.create(name, options);
    try {
      return await publishVolume(root, record);
    } catch (error) {
      return await undoAfter(error, () => (isNew ? plugin.remove(name) : undefined));
    }
  });
}
