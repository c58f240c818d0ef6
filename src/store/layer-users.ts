/** Who has layers besides images: the cache of builds, and builds that run. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "./atomic.js";
import { listSteps } from "./build-cache.js";
import { type DataRoot, reason } from "./data-root.js";
import { StoreError } from "./error.js";
import { hasLayer } from "./layers.js";
import { shortId } from "./names.js";

/** In the temporary of a build: the layers that it has mounted, or is going to make an image of, a line for each. */
const holdName = "held-layers";

/** The layers that are to stay, whether an image has them or not. The store lock must be held. Throws StoreError. */
export function keptLayers(root: DataRoot): string[] {
  const cached = listSteps(root).flatMap(({ layer }) => layer ?? []);
  const held = readdirSync(root.temporary).flatMap((name) => heldBy(join(root.temporary, name)));
  return [...cached, ...held];
}

/** A build that ends gives up what it holds, whoever looks. */
function heldBy(temporary: string): string[] {
  const path = join(temporary, holdName);
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
}

/** Makes layers stay as long as the directory `temporary` of `tmp/`. The store lock must be held. Throws StoreError. */
export function holdLayers(root: DataRoot, temporary: string, layers: readonly string[]): void {
  for (const diffId of layers) {
    if (!hasLayer(root, diffId))
      throw new StoreError(`the layer ${shortId(diffId)} has been removed meanwhile: try again`);
  }
  writeAtomically(join(temporary, holdName), layers.join("\n"));
}
