import type { DataRoot } from "../../store/data-root.js";
import type { VolumeRecord } from "../../store/records.js";
import { type SeenVolume, volumesOfPlugins } from "../../store/volume-drivers/lookup.js";
import { listVolumes, localDriver } from "../../store/volume-records.js";
import { containersByVolume } from "../../store/volume-users.js";
import { booleanFilter, hasLabels, parseFilters } from "../output/filters.js";
import { printList, type View } from "../output/list.js";
import type { ListOptions } from "../output/options.js";
import { describe, seenHere } from "./describe.js";

interface Row {
  readonly seen: SeenVolume;
  readonly volume: VolumeRecord;
  readonly containers: number;
}

const view: View<Row> = {
  fields: {
    Availability: { header: "AVAILABILITY", of: () => "N/A" },
    Driver: { header: "DRIVER", of: ({ volume }) => volume.driver },
    Group: { header: "GROUP", of: () => "N/A" },
    Labels: {
      header: "LABELS",
      of: ({ volume }) =>
        Object.entries(volume.labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(","),
    },
    Links: { header: "LINKS", of: ({ containers }) => String(containers) },
    Mountpoint: { header: "MOUNTPOINT", of: ({ seen }) => seen.mountpoint },
    Name: { header: "VOLUME NAME", of: ({ volume }) => volume.name },
    Scope: { header: "SCOPE", of: ({ seen }) => seen.scope },
    Size: { header: "SIZE", of: () => "N/A" },
    Status: { header: "STATUS", of: () => "N/A" },
    Label: {
      header: "LABEL",
      of:
        ({ volume }) =>
        (key: string) =>
          volume.labels[key] ?? "",
      isMethod: true,
    },
  },
  columns: ["Driver", "Name"],
  quiet: "Name",
  object: ({ seen, containers }) => ({ ...describe(seen), Containers: containers }),
};

const filterNames = ["dangling", "driver", "label", "name"] as const;
const order = new Intl.Collator("en", { numeric: true });

/** `cowfs volume ls`. Returns the exit code. */
export async function listCommand(root: DataRoot, options: ListOptions): Promise<number> {
  const filters = parseFilters(options.filter, filterNames);
  const dangling = booleanFilter(filters, "dangling");
  const users = containersByVolume(root);
  const drivers = filters.get("driver");
  const isAsked = (driver: string): boolean => drivers === undefined || drivers.includes(driver);
  const records = listVolumes(root);
  const local = records.filter(({ driver }) => driver === localDriver).map((record) => seenHere(root, record));
  const rows = [...local, ...(await volumesOfPlugins(records, drivers))]
    .map((seen): Row => ({ seen, volume: seen.record, containers: users.get(seen.record.name)?.length ?? 0 }))
    .filter(({ volume, containers }) => {
      const names = filters.get("name");
      return (
        (dangling === undefined || dangling === (containers === 0)) &&
        isAsked(volume.driver) &&
        (names === undefined || names.some((part) => volume.name.includes(part))) &&
        hasLabels(volume.labels, filters.get("label"))
      );
    })
    .sort((a, b) => order.compare(a.volume.name, b.volume.name));
  printList(rows, view, options);
  return 0;
}
