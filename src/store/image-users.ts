import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readState } from "./containers.js";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import type { NamedImage } from "./images.js";
import type { ContainerRecord } from "./records.js";

/** A container, as far as an image is concerned. */
export interface ImageUser {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly isRunning: boolean;
}

/**
 * The containers that there are, for each image that they are made of or have mounted. It is asked of the records each time, since a count kept
 * somewhere would be wrong after a crash; who removes an image asks while the store lock is held, and with `strict`: a record that cannot be read
 * may be of any image, and is a StoreError then. Otherwise it is left out.
 */
export function imageUsers(root: DataRoot, { strict = false } = {}): ImageUser[] {
  return readdirSync(root.containers).flatMap((id) => {
    const path = join(root.containers, id, "config.json");
    try {
      const { name, image, mounts } = JSON.parse(readFileSync(path, "utf8")) as ContainerRecord;
      const mounted = mounts.flatMap(({ type, source }) => (type === "image" ? (source ?? []) : []));
      const running = isRunning(root, id);
      return [...new Set([image.id, ...mounted])].map((used) => ({ id, name, image: used, isRunning: running }));
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (!strict || code === "ENOENT" || code === "ENOTDIR") return [];
      throw new StoreError(`${path} cannot be read, and may be of any image: see cowfs system check`, { cause });
    }
  });
}

function isRunning(root: DataRoot, id: string): boolean {
  try {
    return readState(root, id).status === "running";
  } catch {
    return false;
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
