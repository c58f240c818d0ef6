/** Layers on disk: `layers/HEX/`, one for each diff ID, whatever images share it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publish } from "./atomic.js";
import { type DataRoot, reason } from "./data-root.js";
import { NotFoundError, StoreError } from "./error.js";
import { digestHex, shortId } from "./names.js";
import type { LayerRecord } from "./records.js";

/** A layer that is complete, in a temporary, and on the disk: what is left is to publish it. */
export interface BuiltLayer {
  readonly record: LayerRecord;
  /** The directory that becomes `layers/HEX`. */
  readonly path: string;
  /** Paths of directories about which the archive says nothing: see `adoptDirectories`. */
  readonly implied: readonly string[];
  /** What of the archive the layer does not have. */
  readonly warnings: readonly string[];
  /** Whether the archive had an end: see `TarParser.hasEnd`. */
  readonly hasEnd: boolean;
}

export interface LayerOptions {
  /** Throws StoreError if the archive has another one. */
  readonly expectedDiffId?: string;
  /** Called now and then with the number of bytes of the archive that have been read. */
  readonly progress?: (bytes: number) => void;
}

/** The directory of a layer, whether it exists or not. Throws StoreError for what is no digest. */
export function layerDirectory(root: DataRoot, diffId: string): string {
  return join(root.layers, digestHex(diffId));
}

/** The tree of a layer, to be used as a lower layer of a mount. */
export function layerTree(root: DataRoot, diffId: string): string {
  return join(layerDirectory(root, diffId), "tree");
}

export function hasLayer(root: DataRoot, diffId: string): boolean {
  return existsSync(join(layerDirectory(root, diffId), "layer.json"));
}

/** Throws NotFoundError if there is no such layer, StoreError if its record is damaged. */
export function readLayer(root: DataRoot, diffId: string): LayerRecord {
  const path = join(layerDirectory(root, diffId), "layer.json");
  let record: LayerRecord | null;
  try {
    record = JSON.parse(readFileSync(path, "utf8")) as LayerRecord | null;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      throw new NotFoundError(`the layer ${shortId(diffId)} is missing`, { cause });
    }
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
  if (record?.schema !== 1 || record.diffId !== diffId) throw new StoreError(`${path} is damaged`);
  return record;
}

/**
 * The trees to mount for layers (the lowest first, as images name them), the topmost first, as a mount takes them. A layer whose root is opaque
 * hides all that are below it: union file systems look for no marks there.
 */
export function layerTrees(root: DataRoot, diffIds: readonly string[]): string[] {
  const trees: string[] = [];
  for (const diffId of [...diffIds].reverse()) {
    trees.push(layerTree(root, diffId));
    if (readLayer(root, diffId).opaqueRoot === true) break;
  }
  return trees;
}

/**
 * Makes layers that were built visible; one that somebody else has published meanwhile stays as it is. The store lock must be held. What is in the
 * temporary then is the caller's to remove.
 */
export function publishLayers(root: DataRoot, layers: readonly BuiltLayer[]): void {
  for (const { record, path } of layers) {
    if (!hasLayer(root, record.diffId)) publish(path, layerDirectory(root, record.diffId));
  }
}
