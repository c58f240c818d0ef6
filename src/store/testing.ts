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

/** A frame of zstd, of blocks that are not compressed. */
export function frame(content: Buffer, { windowLog = 20, checksum = Buffer.alloc(0) } = {}): Buffer {
  const parts: Buffer[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, checksum.length > 0 ? 4 : 0, (windowLog - 10) << 3])];
  for (let at = 0; at === 0 || at < content.length; at += 128 * 1024) {
    const block = content.subarray(at, at + 128 * 1024);
    const head = Buffer.alloc(3);
    head.writeUIntLE((block.length << 3) | (at + block.length === content.length ? 1 : 0), 0, 3);
    parts.push(head, block);
  }
  return Buffer.concat([...parts, checksum]);
}

/** A frame that has no content. */
export const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
