import type { DataRoot } from "../../store/data-root.js";
import type { VolumeRecord } from "../../store/records.js";
import type { SeenVolume } from "../../store/volume-drivers/lookup.js";
import { volumeData } from "../../store/volume-places.js";

function orNull(pairs: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null {
  return Object.keys(pairs).length === 0 ? null : pairs;
}

/** A volume of the driver `local`. */
export function seenHere(root: DataRoot, record: VolumeRecord): SeenVolume {
  return { record, mountpoint: volumeData(root, record.name), scope: "local" };
}

/** A volume as `inspect` shows it. */
export function describe({ record, mountpoint, scope, status }: SeenVolume): Record<string, unknown> {
  return {
    CreatedAt: record.created.replace(/\.\d+Z$/, "Z"),
    Driver: record.driver,
    Labels: orNull(record.labels),
    Mountpoint: mountpoint,
    Name: record.name,
    Options: orNull(record.options),
    Scope: scope,
    ...(status === undefined ? {} : { Status: status }),
  };
}
