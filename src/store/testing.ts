/** For tests: layers without images. */
import { join } from "node:path";
import { buildLayer } from "./archive/build-layer.js";
import { type LayerTarOptions, layerTarChunks } from "./archive/layer-tar.js";
import type { LayerSource } from "./archive/read-source.js";
import type { DataRoot } from "./data-root.js";
import { type LayerOptions, publishLayers } from "./layers.js";
import { storeLock, withLock } from "./lock.js";
import type { LayerRecord } from "./records.js";
import { makeTemporary } from "./temporary.js";

/** Makes a layer of a tar archive, uncompressed or compressed by gzip or zstd. Throws StoreError, and leaves nothing then. */
export async function createLayerFromTar(
  root: DataRoot,
  source: LayerSource,
  options: LayerOptions = {},
): Promise<LayerRecord> {
  const temporary = await makeTemporary(root, "layer");
  try {
    const built = await buildLayer(join(temporary.path, "layer"), source, options);
    await withLock(root, storeLock, () => publishLayers(root, [built]));
    return built.record;
  } finally {
    temporary.dispose();
  }
}

/**
 * Makes a layer of a directory: with `marks: "overlay"` an upper, whose whiteouts and opaque directories stay what they are; with `"none"` a plain
 * tree. Nothing may change in it meanwhile. Throws StoreError.
 */
export async function createLayerFromTree(
  root: DataRoot,
  path: string,
  { marks, merged, ...options }: LayerOptions & LayerTarOptions,
): Promise<LayerRecord> {
  return createLayerFromTar(root, layerTarChunks(path, { marks, ...(merged !== undefined && { merged }) }), options);
}
