import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { imagesByLayer, imageUsers } from "../../store/image-users.js";
import { listImages, type NamedImage, readConfig } from "../../store/images.js";
import { readLayer } from "../../store/layers.js";
import { shortId } from "../../store/names.js";
import type { ImageConfig, LayerRecord } from "../../store/records.js";

/** An image with all that lists say of it. */
export interface StoredImage extends NamedImage {
  readonly config: ImageConfig;
  readonly records: readonly LayerRecord[];
  /** The sum of the sizes of its layers. */
  readonly size: number;
  /** What of that other images have, too. */
  readonly shared: number;
  /** The names of the containers that are made of it. */
  readonly containers: readonly string[];
}

/** All images, those made last first: by the time their configurations tell, as Docker sorts them. Throws StoreError. */
export function storedImages(root: DataRoot): StoredImage[] {
  const images = listImages(root);
  const byLayer = imagesByLayer(images);
  const users = imageUsers(root);
  const records = new Map<string, LayerRecord>();
  const recordOf = (diffId: string): LayerRecord => {
    const record = records.get(diffId) ?? recordIfAny(root, diffId);
    records.set(diffId, record);
    return record;
  };
  const stored = images.map((image) => {
    const layers = image.layers.map(recordOf);
    const sum = (some: readonly LayerRecord[]): number => some.reduce((total, { size }) => total + size, 0);
    return {
      ...image,
      config: readConfig(root, image.id),
      records: layers,
      size: sum(layers),
      shared: sum(layers.filter(({ diffId }) => (byLayer.get(diffId)?.length ?? 0) > 1)),
      containers: users.filter((user) => user.image === image.id).map(({ name }) => name),
    };
  });
  const time = ({ config }: StoredImage): number => Date.parse(config.created ?? "") || 0;
  // Sorting is stable: of those made at one time the one stored last stays first.
  return stored.sort((a, b) => time(b) - time(a));
}

/** One that is damaged weighs nothing in lists, and hides none of the rest: `cowfs system check` tells. */
function recordIfAny(root: DataRoot, diffId: string): LayerRecord {
  try {
    return readLayer(root, diffId);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { schema: 1, diffId, archiveSize: 0, size: 0, entries: 0, created: "" };
  }
}

/** How an image is called: by its first name, or the beginning of its id. */
export function imageTitle({ id, names }: NamedImage): string {
  return names[0] ?? shortId(id);
}

/** `name:tag` in its two parts. */
export function splitName(name: string): { repository: string; tag: string } {
  const colon = name.lastIndexOf(":");
  return { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}
