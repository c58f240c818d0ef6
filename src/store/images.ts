/** Images: a configuration and the layers it names, called by names with tags or by its digest. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { publish, syncDirectory, writeJson } from "./atomic.js";
import { takeBases, unusedBases } from "./bases.js";
import { type DataRoot, reason } from "./data-root.js";
import { NotFoundError, StoreError } from "./error.js";
import { adoptDirectories } from "./implied-directories.js";
import { keptLayers } from "./layer-users.js";
import {
  type BuiltLayer,
  hasLayer,
  layerDirectory,
  layerTree,
  layerTrees,
  publishLayers,
  readLayer,
} from "./layers.js";
import { storeLock, withLock } from "./lock.js";
import { digestHex, imageName, isIdPrefix, shortId } from "./names.js";
import type { ImageConfig, ImageNames, ImageRecord } from "./records.js";
import { misfit, type Shape } from "./shape.js";
import { makeTemporary } from "./temporary.js";

/** An image with its names, sorted; dangling if it has none. */
export type NamedImage = ImageRecord & { readonly names: readonly string[] };

/** An image that a word of the user means: by one of its names, or, if none is said, by its id. */
export type FoundImage = NamedImage & { readonly foundBy?: string };

function imageDirectory(root: DataRoot, id: string): string {
  return join(root.images, digestHex(id));
}

function namesFile(root: DataRoot): string {
  return join(root.images, "names.json");
}

/** `name:tag` → image id. Throws StoreError if the file is damaged. */
export function readNames(root: DataRoot): Readonly<Record<string, string>> {
  const path = namesFile(root);
  let names: unknown;
  try {
    names = (JSON.parse(readFileSync(path, "utf8")) as Partial<ImageNames> | null)?.names;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
  if (typeof names !== "object" || names === null) throw new StoreError(`${path} is damaged: it has no names`);
  return names as Record<string, string>;
}

/** Replaces all names. The store lock must be held. Throws StoreError. */
export function writeNames(root: DataRoot, names: Readonly<Record<string, string>>): void {
  const sorted = Object.fromEntries(Object.entries(names).sort(([a], [b]) => (a < b ? -1 : 1)));
  const path = namesFile(root);
  try {
    writeJson(path, { schema: 1, names: sorted } satisfies ImageNames);
  } catch (cause) {
    throw new StoreError(`${path} cannot be written: ${reason(cause)}`, { cause });
  }
}

/** The digest of a configuration is the id of its image. */
export function imageId(configBytes: Buffer): string {
  return `sha256:${createHash("sha256").update(configBytes).digest("hex")}`;
}

/** A configuration from its bytes. Throws StoreError if it is none; `what` names it in the message. */
export function parseConfig(bytes: Buffer, what: string): ImageConfig {
  let config: Partial<ImageConfig> | null;
  try {
    config = JSON.parse(bytes.toString("utf8")) as Partial<ImageConfig> | null;
  } catch (cause) {
    throw new StoreError(`${what} is no JSON: ${reason(cause)}`, { cause });
  }
  const diffIds = config?.rootfs?.diff_ids;
  if (!Array.isArray(diffIds) || !diffIds.every((id) => /^sha256:[0-9a-f]{64}$/.test(String(id)))) {
    throw new StoreError(
      `${what} is no configuration of an image: its rootfs.diff_ids are missing or no sha256 digests`,
    );
  }
  const wrong = misfit(config, configShape);
  if (wrong !== undefined) throw new StoreError(`${what} is damaged: its ${wrong} is not what it should be`);
  return { architecture: "", os: "", ...config } as ImageConfig;
}

const configShape: Shape = {
  created: "string",
  author: "string",
  architecture: "string",
  os: "string",
  config: {
    User: "string",
    ExposedPorts: "object",
    Env: ["string"],
    Entrypoint: ["string"],
    Cmd: ["string"],
    Volumes: "object",
    WorkingDir: "string",
    Labels: { "*": "string" },
    StopSignal: "string",
    Shell: ["string"],
  },
  history: [{ created: "string", created_by: "string", author: "string", comment: "string", empty_layer: "boolean" }],
};

/** A layer that was there, or was built, is there no more. */
export class LayersMissingError extends StoreError {
  override readonly name = "LayersMissingError";
}

/** What is stored with an image, all at once. */
export interface StoreImageOptions {
  /** Layers that were built for it, and that are published together with it. */
  readonly layers?: readonly BuiltLayer[];
}

/**
 * Stores an image, and gives it names (`name:tag`), which other images lose. Storing the same image again adds the names. Takes the store lock.
 * Throws StoreError if a layer is missing.
 */
export async function storeImage(
  root: DataRoot,
  configBytes: Buffer,
  names: readonly string[],
  { layers = [] }: StoreImageOptions = {},
): Promise<ImageRecord> {
  const id = imageId(configBytes);
  const config = parseConfig(configBytes, "the configuration");
  const directory = imageDirectory(root, id);
  const record: ImageRecord = { schema: 1, id, layers: config.rootfs.diff_ids, stored: new Date().toISOString() };
  const checked = names.map(imageName);
  const temporary = await makeTemporary(root, "image");
  try {
    const built = join(temporary.path, "image");
    mkdirSync(built, { mode: 0o755 });
    writeFileSync(join(built, "config.json"), configBytes, { flush: true });
    writeFileSync(join(built, "image.json"), `${JSON.stringify(record, null, 2)}\n`, { flush: true });
    syncDirectory(built);
    adopt(root, record.layers, layers);
    return await withLock(root, storeLock, () => {
      publishLayers(root, layers);
      for (const diffId of record.layers) {
        if (!hasLayer(root, diffId)) {
          throw new LayersMissingError(`the layer ${shortId(diffId)} has been removed meanwhile: try again`);
        }
      }
      if (!existsSync(join(directory, "image.json"))) {
        publish(built, directory);
      }
      if (checked.length > 0) {
        writeNames(root, { ...readNames(root), ...Object.fromEntries(checked.map((name) => [name, id])) });
      }
      return readImage(root, id);
    });
  } finally {
    temporary.dispose();
  }
}

/** Directories of layers that were built for an image take the attributes that they have below, the lowest layer first. */
function adopt(root: DataRoot, diffIds: readonly string[], built: readonly BuiltLayer[]): void {
  const lowers: string[] = [];
  for (const diffId of diffIds) {
    const layer = built.find(({ record }) => record.diffId === diffId);
    // It may have been published by another image of the same archive.
    const isNew = layer !== undefined && existsSync(layer.path);
    const tree = isNew ? join(layer.path, "tree") : layerTree(root, diffId);
    if (isNew) adoptDirectories(tree, layer.implied, lowers);
    if (isNew ? layer.record.opaqueRoot : hasLayer(root, diffId) && readLayer(root, diffId).opaqueRoot)
      lowers.length = 0;
    if (existsSync(tree)) lowers.unshift(tree);
  }
}

/** The record of an image by its whole id; undefined if there is none. Throws StoreError if it is damaged. */
export function readImageIfThere(root: DataRoot, id: string): ImageRecord | undefined {
  try {
    return readImage(root, id);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** The record of an image by its whole id. Throws NotFoundError, or StoreError if it is damaged. */
export function readImage(root: DataRoot, id: string): ImageRecord {
  const path = join(imageDirectory(root, id), "image.json");
  let record: ImageRecord | null;
  try {
    record = JSON.parse(readFileSync(path, "utf8")) as ImageRecord | null;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      throw new NotFoundError(`there is no image ${shortId(id)}`, { cause });
    }
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
  if (record?.schema !== 1 || record.id !== id || !Array.isArray(record.layers))
    throw new StoreError(`${path} is damaged`);
  return record;
}

/** The bytes of an image's configuration, whose SHA-256 is its id. Throws StoreError if it is not. */
export function readConfigBytes(root: DataRoot, id: string): Buffer {
  const path = join(imageDirectory(root, id), "config.json");
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
  if (imageId(bytes) !== id) throw new StoreError(`${path} is damaged: its digest is not the id of the image`);
  return bytes;
}

/** Throws StoreError. */
export function readConfig(root: DataRoot, id: string): ImageConfig {
  return parseConfig(readConfigBytes(root, id), `the configuration of the image ${shortId(id)}`);
}

/** As `readImage`, for who looks among all images: says what to do about one that is damaged. */
function usableImage(root: DataRoot, id: string): ImageRecord {
  try {
    return readImage(root, id);
  } catch (cause) {
    if (cause instanceof NotFoundError || !(cause instanceof StoreError)) throw cause;
    throw new StoreError(`${cause.message}: cowfs system check --repair takes it away`, { cause });
  }
}

/** All images, the newest first. Throws StoreError. */
export function listImages(root: DataRoot): NamedImage[] {
  const byId = new Map<string, string[]>();
  for (const [name, id] of Object.entries(readNames(root))) byId.set(id, [...(byId.get(id) ?? []), name]);
  const images = readdirSync(root.images)
    .filter((name) => /^[0-9a-f]{64}$/.test(name))
    .map((hex) => ({ ...usableImage(root, `sha256:${hex}`), names: (byId.get(`sha256:${hex}`) ?? []).sort() }));
  return images.sort((a, b) => (a.stored < b.stored ? 1 : a.stored > b.stored ? -1 : a.id < b.id ? -1 : 1));
}

/**
 * The image that a word of the user means: a name with or without tag, an id or a beginning of one that only one image has. Throws NotFoundError,
 * with the nearest names, and StoreError for a beginning of several ids.
 */
export function findImage(root: DataRoot, word: string): FoundImage {
  const names = readNames(root);
  const found = (id: string, name?: string): FoundImage => ({
    ...usableImage(root, id),
    names: Object.keys(names).filter((other) => names[other] === id),
    ...(name !== undefined && { foundBy: name }),
  });
  if (isIdPrefix(word)) {
    const prefix = word.replace(/^sha256:/, "");
    const ids = readdirSync(root.images).filter((name) => /^[0-9a-f]{64}$/.test(name) && name.startsWith(prefix));
    // As in Docker, a name is preferred to what is only the beginning of an id.
    const byName = word.startsWith("sha256:") ? undefined : names[`${word}:latest`];
    if (prefix.length < 64 && byName !== undefined) return found(byName, `${word}:latest`);
    if (ids.length === 1) return found(`sha256:${ids[0]}`);
    if (ids.length > 1) {
      throw new StoreError(`${word} is the beginning of the ids of ${ids.length} images: write more of it`);
    }
  }
  if (/^sha256:|^[0-9a-f]{64}$/.test(word)) throw new NotFoundError(`there is no image ${word}`);
  const name = imageName(word);
  // podman calls what it has built localhost/NAME.
  for (const known of [name, `localhost/${name}`]) {
    const id = names[known];
    if (id !== undefined) return found(id, known);
  }
  const near = nearest(word, Object.keys(names));
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  throw new NotFoundError(`there is no image ${word}${hint}`);
}

/** Up to three of `words` that are most like `word`: what it is a part of, or what few letters tell apart from it. */
export function nearest(word: string, words: readonly string[]): string[] {
  const scored: { candidate: string; distance: number }[] = [];
  for (const candidate of words) {
    const [name = ""] = candidate.split(":");
    const last = name.slice(name.lastIndexOf("/") + 1);
    const isPart = word.length > 2 && candidate.includes(word);
    const distance = isPart
      ? 0
      : Math.min(
          ...[candidate, name, last].map((form) => editDistance(word, form)),
          editDistance(word.split(":")[0] ?? "", name),
        );
    if (distance <= Math.max(1, Math.floor(word.length / 3))) scored.push({ candidate, distance });
  }
  scored.sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  return scored.slice(0, 3).map(({ candidate }) => candidate);
}

/** How many letters must be added, taken away, replaced or exchanged with their neighbour to make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const exchanged = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? replaced) + 1 : replaced;
      next.push(Math.min(replaced, exchanged, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] as number;
}

/** The trees of an image, the topmost first, as a mount takes its lower layers. */
export function imageTrees(root: DataRoot, image: ImageRecord): string[] {
  return layerTrees(root, image.layers);
}

/** Gives an image one more name, which another image loses. Takes the store lock. */
export async function tagImage(root: DataRoot, id: string, name: string): Promise<void> {
  const checked = imageName(name);
  await withLock(root, storeLock, () => {
    readImage(root, id);
    writeNames(root, { ...readNames(root), [checked]: id });
  });
}

/** Takes names away; those that there are not are passed over. Takes the store lock. */
export async function untagImage(root: DataRoot, untagged: readonly string[]): Promise<void> {
  await withLock(root, storeLock, () => {
    const names = { ...readNames(root) };
    for (const name of untagged) delete names[name];
    writeNames(root, names);
  });
}

/** What a removal took away. */
export interface RemovedImage {
  readonly names: readonly string[];
  /** The layers that no other image has, and no step of a build. */
  readonly layers: readonly string[];
  /** What the base trees held that went with it. */
  readonly baseBytes: number;
}

/**
 * Removes an image, its names, and the layers that no other image has. `mayRemove` is called while the store lock is held, and throws if somebody
 * uses the image (a container: whose layers are those of its image, so an image in use stays, with or without names). Throws NotFoundError.
 */
export async function removeImage(root: DataRoot, id: string, mayRemove: () => void): Promise<RemovedImage> {
  const temporary = await makeTemporary(root, "gone");
  try {
    return await withLock(root, storeLock, () => {
      const record = readImage(root, id);
      mayRemove();
      const names = readNames(root);
      const gone = Object.keys(names).filter((name) => names[name] === id);
      if (gone.length > 0)
        writeNames(root, Object.fromEntries(Object.entries(names).filter(([, other]) => other !== id)));
      renameSync(imageDirectory(root, id), join(temporary.path, "image"));
      syncDirectory(root.images);
      return { names: gone, ...removeUnused(root, record.layers, temporary.path) };
    });
  } finally {
    temporary.dispose();
  }
}

/**
 * Moves those of `layers` that nobody has (see `layer-users.ts`) to the directory `into`, and the base trees that no image can have. The store lock must
 * be held. Returns which layers these are.
 */
export function removeUnused(
  root: DataRoot,
  layers: readonly string[],
  into: string,
): Pick<RemovedImage, "layers" | "baseBytes"> {
  const images = listImages(root);
  const used = new Set([...images.flatMap((image) => image.layers), ...keptLayers(root)]);
  const unused = [...new Set(layers)].filter((diffId) => !used.has(diffId) && hasLayer(root, diffId));
  for (const diffId of unused) renameSync(layerDirectory(root, diffId), join(into, digestHex(diffId)));
  if (unused.length > 0) syncDirectory(root.layers);
  return { layers: unused, baseBytes: takeBases(unusedBases(root, images), into) };
}
