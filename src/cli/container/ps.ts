import { driverNameOf, driverOf } from "../../assemble/drivers/choose.js";
import { findContainer, listContainers, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError } from "../../store/error.js";
import { findImage, readImage } from "../../store/images.js";
import { shortId } from "../../store/names.js";
import type { ContainerRecord, ContainerState } from "../../store/records.js";
import { complain, UsageError } from "../exit.js";
import { age, duration } from "../output/age.js";
import { type Filters, hasLabels, parseFilters } from "../output/filters.js";
import { printList, type View } from "../output/list.js";
import type { ListOptions } from "../output/options.js";
import { size } from "../output/size.js";

interface Row {
  readonly record: ContainerRecord;
  readonly state: ContainerState;
  /** Of the writable layer, if that was asked for. */
  readonly size?: number;
  readonly trunc: boolean;
}

export interface PsOptions extends ListOptions {
  readonly all?: boolean;
  readonly size?: boolean;
  readonly last?: string;
  readonly latest?: boolean;
}

const filterNames = ["ancestor", "before", "exited", "id", "label", "name", "since", "status", "volume"] as const;
const statuses = ["created", "running", "exited"];
type FilterName = (typeof filterNames)[number];

/** What a state is, in words: `Up 3 minutes`, `Exited (0) 2 hours ago`. */
export function statusText({ status, started, finished, exitCode }: ContainerState, now = Date.now()): string {
  if (status === "created") return "Created";
  if (status === "running") return `Up ${duration(now - Date.parse(started ?? ""))}`;
  return `Exited (${exitCode ?? 255})${finished === undefined ? "" : ` ${age(finished, now)}`}`;
}

function commandText({ record, trunc }: Row): string {
  const text = record.process.args.join(" ");
  return JSON.stringify(trunc && text.length > 20 ? `${text.slice(0, 19)}…` : text);
}

function mountNames({ record, trunc }: Row): string {
  return record.mounts
    .filter(({ type }) => type !== "tmpfs")
    .map(({ source = "" }) => (trunc && source.length > 15 ? `${source.slice(0, 14)}…` : source))
    .join(",");
}

const view: View<Row> = {
  fields: {
    ID: { header: "CONTAINER ID", of: ({ record, trunc }) => (trunc ? shortId(record.id) : record.id) },
    Image: { header: "IMAGE", of: ({ record }) => record.image.name },
    Command: { header: "COMMAND", of: commandText },
    CreatedAt: { header: "CREATED AT", of: ({ record }) => record.created },
    RunningFor: { header: "CREATED", of: ({ record }) => age(record.created) },
    State: { header: "STATE", of: ({ state }) => state.status },
    Status: { header: "STATUS", of: ({ state }) => statusText(state) },
    Names: { header: "NAMES", of: ({ record }) => record.name },
    Size: { header: "SIZE", of: (row) => size(row.size ?? 0, 3) },
    Mounts: { header: "MOUNTS", of: mountNames },
    LocalVolumes: {
      header: "LOCAL VOLUMES",
      of: ({ record }) => String(record.mounts.filter(({ type }) => type === "volume").length),
    },
    Networks: { header: "NETWORKS", of: ({ record }) => record.network ?? "host" },
    // The network is the host's: none is published.
    Ports: { header: "PORTS", of: () => "" },
    Driver: { header: "DRIVER", of: ({ record }) => driverNameOf(record) },
    Labels: {
      header: "LABELS",
      of: ({ record }) =>
        Object.entries(record.labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(","),
    },
    Label: {
      header: "LABEL",
      of:
        ({ record }) =>
        (key: unknown) =>
          record.labels[String(key)] ?? "",
      isMethod: true,
    },
  },
  columns: ["ID", "Image", "Command", "RunningFor", "Status", "Names"],
  quiet: "ID",
  object: ({ record, state, size: bytes }) => ({
    ...record,
    driver: driverNameOf(record),
    state,
    ...(bytes === undefined ? {} : { size: bytes }),
  }),
};

/** `cowfs ps`: the containers that run, or all. Returns the exit code. */
export async function psCommand(root: DataRoot, options: PsOptions): Promise<number> {
  const filters = parseFilters(options.filter, filterNames);
  const status = filters.get("status")?.find((value) => !statuses.includes(value));
  if (status !== undefined) throw new UsageError(`--filter status=${status}: known are ${statuses.join(", ")}`);
  const last = options.latest === true ? 1 : options.last === undefined ? undefined : Number(options.last);
  if (last !== undefined && !Number.isInteger(last)) throw new UsageError(`--last takes a number, not ${options.last}`);
  const all = options.all === true || last !== undefined || filters.has("status") || filters.has("exited");
  const isWanted = wantedBy(root, filters);
  const rows: Row[] = [];
  for (const record of listContainers(root)) {
    const state = stateIfAny(root, record.id);
    if (state === undefined || !(all || state.status === "running") || !isWanted(record, state)) continue;
    rows.push({ record, state, trunc: options.trunc !== false });
  }
  const shown = last === undefined || last < 0 ? rows : rows.slice(0, last);
  const needsSize = options.size === true || /\.Size\b/.test(options.format ?? "");
  const sized = needsSize ? await withSizes(root, shown) : shown;
  const columns = options.size === true ? [...view.columns, "Size"] : view.columns;
  printList(sized, { ...view, columns }, options);
  return 0;
}

async function withSizes(root: DataRoot, rows: readonly Row[]): Promise<Row[]> {
  const sized: Row[] = [];
  for (const row of rows) {
    try {
      sized.push({ ...row, size: await driverOf(row.record).size(root, row.record) });
    } catch (error) {
      // It was removed while it was looked at.
      if (stateIfAny(root, row.record.id) !== undefined) throw error;
    }
  }
  return sized;
}

/** One that was removed since its record was read is left out. */
function stateIfAny(root: DataRoot, id: string): ContainerState | undefined {
  try {
    return readState(root, id);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** Whether a filter means a name: by a part of it, or a regular expression, as in Docker. */
function isNamed(name: string, value: string): boolean {
  const pattern = value.replace(/^(\^?)\//, "$1");
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return name.includes(pattern);
  }
}

/** The image of a filter. That there is none is no failure, as with Docker: no container descends from it. */
function imagesNamed(root: DataRoot, word: string): ReturnType<typeof findImage>[] {
  try {
    return [findImage(root, word)];
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    complain(error.message);
    return [];
  }
}

/** Values of one filter are alternatives, labels apart; different filters must all be met. */
function wantedBy(
  root: DataRoot,
  filters: Filters<FilterName>,
): (record: ContainerRecord, state: ContainerState) => boolean {
  const any = (name: FilterName, meets: (value: string) => boolean): boolean => filters.get(name)?.some(meets) ?? true;
  const ancestors = filters.get("ancestor")?.flatMap((word) => imagesNamed(root, word));
  const madeAt = (name: FilterName): string[] | undefined =>
    filters.get(name)?.map((word) => findContainer(root, word).created);
  const [before, since] = [madeAt("before"), madeAt("since")];
  return (record, state) => {
    const layers = ancestors === undefined ? [] : readImage(root, record.image.id).layers;
    return (
      any("id", (value) => record.id.startsWith(value)) &&
      any("name", (value) => isNamed(record.name, value)) &&
      (before?.every((time) => record.created < time) ?? true) &&
      (since?.every((time) => record.created > time) ?? true) &&
      any("exited", (value) => state.status === "exited" && state.exitCode === Number(value)) &&
      any("status", (value) => state.status === value) &&
      any("volume", (value) => record.mounts.some(({ source, target }) => source === value || target === value)) &&
      hasLabels(record.labels, filters.get("label")) &&
      // An image that begins with the layers of another descends from it.
      (ancestors?.some((image) => image.layers.every((layer, index) => layers[index] === layer)) ?? true)
    );
  };
}
