import type { DataRoot } from "../../store/data-root.js";
import type { VolumeRecord } from "../../store/records.js";
import { volumeData } from "../../store/volume-places.js";

function orNull(pairs: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null {
  return Object.keys(pairs).length === 0 ? null : pairs;
}

/** A volume as `inspect` shows it. */
export function describe(root: DataRoot, volume: VolumeRecord): Record<string, unknown> {
  return {
    CreatedAt: volume.created.replace(/\.\d+Z$/, "Z"),
    Driver: volume.driver,
    Labels: orNull(volume.labels),
    Mountpoint: volumeData(root, volume.name),
    Name: volume.name,
    Options: orNull(volume.options),
    Scope: "local",
  };
}
