import type { Command } from "commander";
import type { DataRoot } from "../../store/data-root.js";
import { removeImage } from "../../store/images.js";
import { complain, messageOf, print } from "../exit.js";
import { confirm } from "../output/confirm.js";
import { type Filters, hasLabels, parseFilters, timeFilter } from "../output/filters.js";
import { size } from "../output/size.js";
import { rootOf } from "../root-option.js";
import { mustBeUnused, removedText } from "./remove.js";
import { imageTitle, type StoredImage, storedImages } from "./stored.js";

export interface PruneOptions {
  readonly all?: boolean;
  readonly force?: boolean;
  readonly filter?: string[];
}

const pruneFilters = ["until", "label", "label!"] as const;
export type PruneFilter = (typeof pruneFilters)[number];

/** The images that a prune takes: without a name, or with `all` all of them, and in any case those that no container is made of. */
export function prunableImages(
  images: readonly StoredImage[],
  all: boolean,
  filters: Filters<PruneFilter>,
): StoredImage[] {
  const until = filters.get("until")?.map((word) => timeFilter("until", word)) ?? [];
  return images.filter((image) => {
    const labels = image.config.config?.Labels;
    if (image.containers.length > 0 || (!all && image.names.length > 0)) return false;
    if (until.some((time) => (Date.parse(image.config.created ?? image.stored) || 0) >= time)) return false;
    return (
      hasLabels(labels, filters.get("label")) &&
      !(filters.get("label!") ?? []).some((word) => hasLabels(labels, [word]))
    );
  });
}

/** Removes images, and says what went. Returns the bytes that were freed. One that is used by now is passed over, and said. */
export async function pruneImages(root: DataRoot, images: readonly StoredImage[]): Promise<number> {
  const sizes = new Map(images.flatMap(({ records }) => records.map((record) => [record.diffId, record.size])));
  let freed = 0;
  let text = "";
  for (const image of images) {
    try {
      const removed = await removeImage(root, image.id, () => mustBeUnused(root, imageTitle(image), image));
      text += removedText(image.id, removed).replace(/^U/gm, "u").replace(/^D/gm, "d");
      freed += removed.layers.reduce((sum, diffId) => sum + (sizes.get(diffId) ?? 0), removed.baseBytes);
    } catch (error) {
      complain(messageOf(error));
    }
  }
  if (text !== "") print(`Deleted Images:\n${text}\n`);
  return freed;
}

/** `cowfs image prune [-a] [-f]`. */
export async function imagePruneCommand(command: Command, options: PruneOptions): Promise<number> {
  const root = rootOf(command);
  const filters = parseFilters(options.filter, pruneFilters);
  const which =
    options.all === true ? "all images without at least one container associated to them" : "all dangling images";
  if (options.force !== true && !(await confirm(`WARNING! This will remove ${which}.`))) return 0;
  const freed = await pruneImages(root, prunableImages(storedImages(root), options.all === true, filters));
  print(`Total reclaimed space: ${size(freed)}\n`);
  return 0;
}
