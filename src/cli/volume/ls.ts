import type { DataRoot } from "../../store/data-root.js";
import type { VolumeRecord } from "../../store/records.js";
import { volumeData } from "../../store/volume-places.js";
import { containersByVolume } from "../../store/volume-users.js";
import { listVolumes } from "../../store/volumes.js";
import { booleanFilter, hasLabels, parseFilters } from "../output/filters.js";
import { printList, type View } from "../output/list.js";
import type { ListOptions } from "../output/options.js";
import { describe } from "./describe.js";

interface Row {
  readonly root: DataRoot;
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
    Mountpoint: { header: "MOUNTPOINT", of: ({ root, volume }) => volumeData(root, volume.name) },
    Name: { header: "VOLUME NAME", of: ({ volume }) => volume.name },
    Scope: { header: "SCOPE", of: () => "local" },
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
  object: ({ root, volume, containers }) => ({ ...describe(root, volume), Containers: containers }),
};

const filterNames = ["dangling", "driver", "label", "name"] as const;
const order = new Intl.Collator("en", { numeric: true });

/** `cowfs volume ls`. Returns the exit code. */
export function listCommand(root: DataRoot, options: ListOptions): number {
  const filters = parseFilters(options.filter, filterNames);
  const dangling = booleanFilter(filters, "dangling");
  const users = containersByVolume(root);
  const rows = listVolumes(root)
    .map((volume) => ({ root, volume, containers: users.get(volume.name)?.length ?? 0 }))
    .filter(({ volume, containers }) => {
      const drivers = filters.get("driver");
      const names = filters.get("name");
      return (
        (dangling === undefined || dangling === (containers === 0)) &&
        (drivers === undefined || drivers.includes(volume.driver)) &&
        (names === undefined || names.some((part) => volume.name.includes(part))) &&
        hasLabels(volume.labels, filters.get("label"))
      );
    })
    .sort((a, b) => order.compare(a.volume.name, b.volume.name));
  printList(rows, view, options);
  return 0;
}
