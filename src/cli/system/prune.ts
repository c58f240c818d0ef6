import type { Command } from "commander";
import { recoverContainer, removeWithVolumes } from "../../assemble/container.js";
import { driverOf } from "../../assemble/drivers/choose.js";
import { containerLock, listContainers } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError } from "../../store/error.js";
import { listImages } from "../../store/images.js";
import { takeLock } from "../../store/lock.js";
import { pruneBuildCache } from "../../store/prune-build-cache.js";
import { pruneVolumes } from "../../store/prune-volumes.js";
import type { ContainerRecord } from "../../store/records.js";
import { daemonMounter } from "../container/mounter.js";
import { complain, messageOf, print } from "../exit.js";
import { prunableImages, pruneImages } from "../image/prune.js";
import { storedImages } from "../image/stored.js";
import { confirm } from "../output/confirm.js";
import { type Filters, hasLabels, parseFilters, timeFilter } from "../output/filters.js";
import { size } from "../output/size.js";
import { rootOf } from "../root-option.js";
import { cacheUsage } from "./usage.js";

export interface SystemPruneOptions {
  readonly all?: boolean;
  readonly volumes?: boolean;
  readonly force?: boolean;
  readonly filter?: string[];
}

const filterNames = ["until", "label", "label!"] as const;

/** `cowfs system prune [-a] [--volumes] [-f]`: containers first, since they hold the rest. */
export async function systemPruneCommand(command: Command, options: SystemPruneOptions): Promise<number> {
  const root = rootOf(command);
  const filters = parseFilters(options.filter, filterNames);
  const warning = [
    "WARNING! This will remove:",
    "  - all stopped containers",
    ...(options.volumes === true ? ["  - all anonymous volumes not used by at least one container"] : []),
    options.all === true
      ? "  - all images without at least one container associated to them"
      : "  - all dangling images",
    options.all === true ? "  - all build cache" : "  - the build cache that is in no image",
  ].join("\n");
  if (options.force !== true && !(await confirm(warning))) return 0;
  let freed = await pruneContainers(root, filters);
  if (options.volumes === true) freed += await pruneAnonymousVolumes(root, filters);
  freed += await pruneImages(root, prunableImages(storedImages(root), options.all === true, filters));
  freed += await pruneSteps(root, options.all === true, filters);
  print(`Total reclaimed space: ${size(freed)}\n`);
  return 0;
}

/** Forgets steps of builds; returns the bytes of the layers that went with them. Steps have no labels. */
async function pruneSteps(
  root: DataRoot,
  all: boolean,
  filters: Filters<(typeof filterNames)[number]>,
): Promise<number> {
  if (filters.has("label")) return 0;
  const until = filters.get("until")?.map((word) => timeFilter("until", word)) ?? [];
  const sizes = new Map(cacheUsage(root, listImages(root)).map(({ step, size }) => [step.layer, size]));
  const { steps, layers } = await pruneBuildCache(root, all, ({ created }) =>
    until.every((time) => Date.parse(created) < time),
  );
  if (steps.length > 0) print(`Deleted build cache objects:\n${steps.map(({ key }) => key).join("\n")}\n\n`);
  return layers.reduce((sum, diffId) => sum + (sizes.get(diffId) ?? 0), 0);
}

/** Removes the containers that do not run; returns the bytes that their writable layers held. One that somebody is at work with is left. */
async function pruneContainers(root: DataRoot, filters: Filters<(typeof filterNames)[number]>): Promise<number> {
  const until = filters.get("until")?.map((word) => timeFilter("until", word)) ?? [];
  let freed = 0;
  const removed: string[] = [];
  for (const record of listContainers(root)) {
    if (until.some((time) => Date.parse(record.created) >= time) || !isLabelled(record.labels, filters)) continue;
    try {
      const bytes = await removeIfStopped(root, record);
      if (bytes === undefined) continue;
      freed += bytes;
      removed.push(record.id);
    } catch (error) {
      if (!(error instanceof NotFoundError)) complain(messageOf(error));
    }
  }
  if (removed.length > 0) print(`Deleted Containers:\n${removed.join("\n")}\n\n`);
  return freed;
}

function isLabelled(labels: Readonly<Record<string, string>>, filters: Filters<(typeof filterNames)[number]>): boolean {
  return (
    hasLabels(labels, filters.get("label")) && !(filters.get("label!") ?? []).some((word) => hasLabels(labels, [word]))
  );
}

async function removeIfStopped(root: DataRoot, record: ContainerRecord): Promise<number | undefined> {
  const { id } = record;
  const lock = await takeLock(root, containerLock(id), { limit: 0 });
  if (lock === undefined) return undefined;
  try {
    const { status } = await recoverContainer(root, id, daemonMounter);
    if (status === "running") return undefined;
    const bytes = await driverOf(record).size(root, record);
    await removeWithVolumes(root, id, { volumes: false });
    return bytes;
  } finally {
    lock.release();
  }
}

/** Removes the volumes that nobody named and nobody uses; returns the bytes that were in them. */
async function pruneAnonymousVolumes(root: DataRoot, filters: Filters<(typeof filterNames)[number]>): Promise<number> {
  const { removed, bytes, failures } = await pruneVolumes(root, false, ({ labels }) => isLabelled(labels, filters));
  for (const error of failures) if (!(error instanceof NotFoundError)) complain(error.message);
  if (removed.length > 0) print(`Deleted Volumes:\n${removed.join("\n")}\n\n`);
  return bytes;
}
