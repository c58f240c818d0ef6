import type { DataRoot } from "../../store/data-root.js";
import { findImage } from "../../store/images.js";
import { UsageError } from "../exit.js";
import { booleanFilter, type Filters, hasLabels, timeFilter } from "../output/filters.js";
import { type StoredImage, splitName } from "./stored.js";

export const imageFilters = ["dangling", "label", "reference", "before", "since", "until"] as const;
export type ImageFilter = (typeof imageFilters)[number];

/** Whether a name is what a pattern of the shell (`*`, `?`, `[a-z]`, none of which means `/`) says, with or without the tag. */
function matchesReference(name: string, pattern: string): boolean {
  const expression = pattern.replace(/\[\^?[^\]/]+\]|[\s\S]/g, (part) => {
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    return part.length > 1 ? part : part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  });
  const { repository } = splitName(name);
  let matcher: RegExp;
  try {
    matcher = new RegExp(`^${expression}$`);
  } catch (cause) {
    throw new UsageError(`--filter reference=${pattern}: no pattern`, { cause });
  }
  return [name, repository].some((text) => matcher.test(text));
}

/**
 * The images that filters let through, each with those of its names that they let through. `images` are all there are, the newest first,
 * which `before` and `since` go by. Throws UsageError, and NotFoundError for the image that these name.
 */
export function filterImages(
  root: DataRoot,
  images: readonly StoredImage[],
  filters: Filters<ImageFilter>,
): StoredImage[] {
  const dangling = booleanFilter(filters, "dangling");
  const patterns = filters.get("reference");
  const until = filters.get("until")?.map((word) => timeFilter("until", word)) ?? [];
  const place = (word: string): number => {
    const { id } = findImage(root, word);
    return images.findIndex((image) => image.id === id);
  };
  const after = Math.max(-1, ...(filters.get("before")?.map(place) ?? []));
  const end = Math.min(images.length, ...(filters.get("since")?.map(place) ?? []));
  return images.flatMap((image, index) => {
    if (index <= after || index >= end) return [];
    if (dangling !== undefined && dangling !== (image.names.length === 0)) return [];
    if (!hasLabels(image.config.config?.Labels, filters.get("label"))) return [];
    if (until.some((time) => (Date.parse(image.config.created ?? "") || 0) >= time)) return [];
    if (patterns === undefined) return [image];
    const names = image.names.filter((name) => patterns.some((pattern) => matchesReference(name, pattern)));
    return names.length > 0 ? [{ ...image, names }] : [];
  });
}
