import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DataRoot } from "./data-root.js";
import type { NamedImage } from "./images.js";
import type { ContainerRecord, ContainerState } from "./records.js";

/** A container, as far as an image is concerned. */
export interface ImageUser {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  /** As recorded: whether its process still lives is not asked. */
  readonly isRunning: boolean;
}

/**
 * The containers that there are, whatever their records are worth: one that cannot be read names no image. It is asked of the records each
 * time, since a count kept somewhere would be wrong after a crash; who removes an image asks while the store lock is held.
 */
export function imageUsers(root: DataRoot): ImageUser[] {
  return readdirSync(root.containers).flatMap((id) => {
    const record = read<ContainerRecord>(join(root.containers, id, "config.json"));
    if (typeof record?.image?.id !== "string") return [];
    const state = read<ContainerState>(join(root.containers, id, "state.json"));
    return [{ id, name: record.name ?? id, image: record.image.id, isRunning: state?.status === "running" }];
  });
}

function read<T>(path: string): Partial<T> | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Partial<T>;
  } catch {
    return undefined;
  }
}

/** For each layer, the images that have it. */
export function imagesByLayer(images: readonly NamedImage[]): Map<string, NamedImage[]> {
  const users = new Map<string, NamedImage[]>();
  for (const image of images) {
    for (const layer of new Set(image.layers)) users.set(layer, [...(users.get(layer) ?? []), image]);
  }
  return users;
}
