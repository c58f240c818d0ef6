import type { Command } from "commander";
import { shortened } from "../../build/build-error.js";
import { shortId } from "../../store/names.js";
import { statusText } from "../container/ps.js";
import { print, UsageError } from "../exit.js";
import { imageTitle, type StoredImage, splitName } from "../image/stored.js";
import { age } from "../output/age.js";
import { bar, legend } from "../output/bar.js";
import { colours } from "../output/colours.js";
import { printList, type View } from "../output/list.js";
import { size } from "../output/size.js";
import { cell, table } from "../output/table.js";
import { rootOf } from "../root-option.js";
import { type Summary, summaries, type Usage, usageOf } from "./usage.js";

const barWidth = 24;

export interface DfOptions {
  readonly verbose?: boolean;
  readonly format?: string;
  readonly json?: boolean;
}

/** `cowfs system df [-v]`. */
export async function dfCommand(command: Command, options: DfOptions): Promise<number> {
  const usage = await usageOf(rootOf(command));
  if (options.verbose === true) {
    if (options.format !== undefined) throw new UsageError("--verbose has no --format: --json shows all of it");
    print(options.json === true ? `${JSON.stringify(details(usage), null, 2)}\n` : pages(usage));
    return 0;
  }
  printList(summaries(usage), summaryView(summaries(usage)), options);
  return 0;
}

function summaryView(all: readonly Summary[]): View<Summary> {
  const most = Math.max(...all.map(({ size }) => size));
  return {
    fields: {
      Type: { header: "TYPE", of: ({ type }) => type },
      TotalCount: { header: "TOTAL", of: ({ total }) => total },
      Active: { header: "ACTIVE", of: ({ active }) => active },
      Size: { header: "SIZE", of: (row) => size(row.size) },
      Reclaimable: { header: "RECLAIMABLE", of: (row) => `${size(row.reclaimable)}${share(row)}` },
      Bar: {
        header: legend("IN USE", "RECLAIMABLE"),
        of: (row) => splitBar(row.size - row.reclaimable, row.reclaimable, most),
      },
    },
    columns: ["Type", "TotalCount", "Active", "Size", "Reclaimable", "Bar"],
    quiet: "Type",
    object: (row) => row,
  };
}

function share({ size, reclaimable }: Summary): string {
  return size === 0 ? "" : ` (${Math.floor((reclaimable / size) * 100)}%)`;
}

function splitBar(solid: number, shaded: number, whole: number): string {
  const parts = [
    { value: solid, fill: "solid" },
    { value: shaded, fill: "shaded" },
  ] as const;
  return bar(parts, whole, barWidth);
}

/** What `-v` prints: a table for each kind. */
function pages({ images, containers, volumes, buildCache, baseTrees }: Usage): string {
  const now = Date.now();
  const biggest = Math.max(0, ...images.map((image) => image.size));
  const imageRows = images.flatMap((image) =>
    namesOf(image).map(({ repository, tag }) => [
      repository,
      tag,
      shortId(image.id),
      age(image.config.created, now),
      size(image.size),
      size(image.shared),
      size(image.size - image.shared),
      String(image.containers.length),
      splitBar(image.size - image.shared, image.shared, biggest),
    ]),
  );
  const containerRows = containers.map(({ record, state, size: bytes }) => [
    shortId(record.id),
    record.image.name,
    JSON.stringify(record.process.args.join(" ").slice(0, 20)),
    String(record.mounts.filter(({ type }) => type === "volume").length),
    size(bytes),
    age(record.created, now),
    statusText(state, now),
    record.name,
  ]);
  const volumeRows = volumes.map(({ record, users, size: bytes }) => [record.name, String(users.length), size(bytes)]);
  const cacheRows = buildCache.map(({ step, size: bytes, isShared }) => [
    shortId(step.key),
    step.layer === undefined ? "-" : shortId(step.layer),
    size(bytes),
    age(step.created, now),
    String(isShared),
    shortened(step.instruction, 40),
  ]);
  const titles = new Map(images.map((image) => [image.id, imageTitle(image)]));
  const baseRows = baseTrees.map(({ base, size: bytes, containers: copies }) => [
    base.driver,
    shortId(base.hex),
    size(bytes),
    String(copies.length),
    base.images.map((id) => titles.get(id)).join(", "),
  ]);
  const imageHead = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"];
  return [
    page("Images", [[...imageHead, legend("UNIQUE", "SHARED")], ...imageRows]),
    page("Containers", [
      ["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"],
      ...containerRows,
    ]),
    page("Local Volumes", [["VOLUME NAME", "LINKS", "SIZE"], ...volumeRows]),
    page("Build Cache", [["CACHE ID", "LAYER", "SIZE", "CREATED", "SHARED", "CREATED BY"], ...cacheRows]),
    ...(baseRows.length === 0
      ? []
      : [page("Base Trees", [["DRIVER", "CHAIN ID", "SIZE", "CONTAINERS", "IMAGES"], ...baseRows])]),
  ].join("\n");
}

function page(what: string, rows: readonly (readonly string[])[]): string {
  return `${colours().bold(`${what} space usage:`)}\n\n${table(rows.map((row) => row.map(cell)))}`;
}

function namesOf({ names }: StoredImage): { repository: string; tag: string }[] {
  return names.length === 0 ? [{ repository: "<none>", tag: "<none>" }] : names.map(splitName);
}

/** What `-v --json` prints: sizes in bytes. */
function details(usage: Usage) {
  return {
    summary: summaries(usage),
    images: usage.images.map(({ id, names, size, shared, containers }) => ({
      id,
      names,
      size,
      sharedSize: shared,
      uniqueSize: size - shared,
      containers,
    })),
    containers: usage.containers.map(({ record, state, size }) => ({
      id: record.id,
      name: record.name,
      image: record.image,
      status: state.status,
      size,
    })),
    volumes: usage.volumes.map(({ record, users, size }) => ({ name: record.name, size, containers: users })),
    buildCache: usage.buildCache.map(({ step, size, isShared }) => ({
      id: step.key,
      layer: step.layer ?? null,
      createdBy: step.instruction,
      created: step.created,
      size,
      shared: isShared,
    })),
    baseTrees: usage.baseTrees.map(({ base, size, containers }) => ({
      driver: base.driver,
      chainId: `sha256:${base.hex}`,
      size,
      images: base.images,
      containers,
    })),
  };
}
