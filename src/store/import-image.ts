/** Makes images of plain tar archives and directories, one layer at a time. */
import { fstatSync } from "node:fs";
import { join } from "node:path";
import { native } from "../native/index.js";
import { buildLayer } from "./archive/build-layer.js";
import { openInput, readPipe } from "./archive/image-files.js";
import { layerTarChunks } from "./archive/layer-tar.js";
import { ownPlatform, type Platform } from "./archive/platform.js";
import type { LayerSource } from "./archive/read-source.js";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import { applyChanges } from "./image-changes.js";
import { findImage, readConfig, storeImage } from "./images.js";
import type { BuiltLayer } from "./layers.js";
import type { ImageConfig, ImageHistory, ImageRecord } from "./records.js";
import { makeTemporary } from "./temporary.js";

export interface ImportOptions {
  /** An archive, a directory, or `-` for the standard input; undefined adds no layer. */
  readonly source?: string | undefined;
  /** The image (name or id) that the new one is made on top of. */
  readonly base?: string | undefined;
  /** Instructions as in a Dockerfile: see `applyChanges`. */
  readonly changes: readonly string[];
  readonly message?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly names: readonly string[];
  /** Bytes read, and how many there are, if that is known. */
  readonly progress?: (read: number, total: number | undefined) => void;
}

export interface ImportedImage {
  readonly image: ImageRecord;
  /** The new layer; undefined if only the configuration changed. */
  readonly layer: BuiltLayer | undefined;
}

/** Throws StoreError, and leaves nothing then. */
export async function importImage(root: DataRoot, options: ImportOptions): Promise<ImportedImage> {
  const { source, base, names } = options;
  const below = base === undefined ? undefined : readConfig(root, findImage(root, base).id);
  const temporary = await makeTemporary(root, "import");
  try {
    const layer = source === undefined ? undefined : await importLayer(join(temporary.path, "layer"), source, options);
    const config = configuration(below, layer, options);
    const image = await storeImage(root, Buffer.from(JSON.stringify(config)), names, layer && { layers: [layer] });
    return { image, layer };
  } finally {
    temporary.dispose();
  }
}

async function importLayer(path: string, source: string, { progress }: ImportOptions): Promise<BuiltLayer> {
  const { fd, isDirectory } = openInput(source === "-" ? undefined : source);
  try {
    const stat = fstatSync(fd);
    const isFile = stat.isFile();
    const total = isFile ? stat.size : undefined;
    let from: LayerSource;
    if (isDirectory) from = layerTarChunks(source, { marks: "none" });
    else if (isFile) from = { fd, offset: 0, length: stat.size };
    else from = readPipe(fd);
    const layer = await buildLayer(path, from, { progress: (read) => progress?.(read, total) });
    if (!layer.hasEnd) throw new StoreError("the tar archive is cut off: it has no end");
    return layer;
  } finally {
    native.close(fd);
  }
}

function configuration(
  below: ImageConfig | undefined,
  layer: BuiltLayer | undefined,
  { source, changes, message, platform = ownPlatform() }: ImportOptions,
): ImageConfig {
  const created = new Date().toISOString();
  const entry = (created_by: string, isEmpty: boolean): ImageHistory => ({
    created,
    created_by,
    ...(isEmpty && { empty_layer: true }),
  });
  const added =
    layer !== undefined
      ? [entry(message ?? `cowfs image import ${source}`, false)]
      : message !== undefined
        ? [entry(message, true)]
        : changes.map((change) => entry(change, true));
  return {
    ...platform,
    ...below,
    created,
    config: applyChanges(below?.config, changes),
    rootfs: {
      type: "layers",
      diff_ids: [...(below?.rootfs.diff_ids ?? []), ...(layer === undefined ? [] : [layer.record.diffId])],
    },
    history: [...(below?.history ?? []), ...added],
  };
}
