import { existsSync, lstatSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoName } from "../../errno.js";
import { O_DIRECTORY, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { applyLayer } from "../../store/apply-layer.js";
import { publish } from "../../store/atomic.js";
import { baseDirectory, writeBaseRecord } from "../../store/bases.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { readImage } from "../../store/images.js";
import { layerDirectory, layerTree, layerTrees, readLayer } from "../../store/layers.js";
import { storeLock, withLock } from "../../store/lock.js";
import { shortId } from "../../store/names.js";
import type { ImageRecord } from "../../store/records.js";
import { makeTemporary } from "../../store/temporary.js";
import { treeSize } from "../../store/tree-size.js";
import { bytesOf } from "../../text.js";
import { skeletonLayer } from "../union.js";

/** How a driver makes base trees. All throw StoreError. */
export interface BaseMaker {
  readonly name: string;
  /** Each layer has a base tree, made of that of the layers below, as copies cost nothing. Otherwise there is one for an image. */
  readonly chained: boolean;
  /** Makes an empty tree. */
  create(path: string): void;
  /** Makes a tree that is a copy of another. */
  copy(from: string, to: string): void | Promise<void>;
  /** From now on nothing changes in a tree. */
  seal(path: string): void;
}

/**
 * The base tree of an image, or of its lower layers alone, which is made if it is not there: everything is built aside, brought to the disk, and published
 * by a rename. Throws StoreError, also if the image is removed meanwhile.
 */
export async function ensureBase(root: DataRoot, maker: BaseMaker, image: Layered): Promise<string> {
  const { layers } = image;
  const directory = baseDirectory(root, maker.name, layers);
  const tree = join(directory, "tree");
  if (existsSync(tree)) return tree;
  const top = layers.at(-1);
  const isStacked = maker.chained && top !== undefined;
  const below = isStacked ? await ensureBase(root, maker, { ...image, layers: belowTop(root, layers) }) : undefined;
  const temporary = await makeTemporary(root, "base");
  try {
    const built = join(temporary.path, "base");
    mkdirSync(built, { mode: 0o700 });
    const work = join(built, "tree");
    const sources = layers.map((layer) => identityOf(layerDirectory(root, layer)));
    if (below === undefined) {
      maker.create(work);
      await applyLayer(await skeletonLayer(root), work);
      for (const layer of layerTrees(root, layers).reverse()) await applyLayer(layer, work);
    } else {
      await copyBase(maker, below, work);
      await applyLayer(layerTree(root, top as string), work);
    }
    maker.seal(work);
    // What a chain adds is its layer, whole files.
    writeBaseRecord(built, below === undefined ? treeSize(work) : readLayer(root, top as string).size);
    syncTree(work);
    mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
    await withLock(root, storeLock, () => {
      // Layers that were being removed may have been read in part.
      readImage(root, image.id);
      if (layers.some((layer, index) => identityOf(layerDirectory(root, layer)) !== sources[index])) {
        throw new StoreError(`the layers of the image ${shortId(image.id)} have just been replaced: try again`);
      }
      // Another command may have been as quick.
      if (!existsSync(tree)) publish(built, directory);
    });
  } catch (cause) {
    // That the image is being removed explains whatever went wrong.
    readImage(root, image.id);
    throw cause;
  } finally {
    temporary.dispose();
  }
  return tree;
}

/** An image, and as many of its layers, the lowest first, as are to be in a base tree. */
export type Layered = Pick<ImageRecord, "id" | "layers">;

/** Copies a base tree. Throws StoreError, also if the base tree is removed meanwhile: the copy may lack something then. */
export async function copyBase(maker: BaseMaker, base: string, to: string): Promise<void> {
  const before = identityOf(dirname(base));
  await maker.copy(base, to);
  if (before === undefined || identityOf(dirname(base)) !== before) {
    throw new StoreError(`the base tree ${base} has just been removed: try again`);
  }
}

/** What tells a directory from another that takes its place: moving it away, and to its place, sets its change time. */
function identityOf(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.ino}:${stat.ctimeNs}`;
}

/** What the topmost layer goes onto. One whose root is opaque hides all below it. */
function belowTop(root: DataRoot, layers: readonly string[]): readonly string[] {
  return readLayer(root, layers.at(-1) as string).opaqueRoot === true ? [] : layers.slice(0, -1);
}

/** Brings what was written to the disk. Throws StoreError. */
export function syncTree(path: string): void {
  const fd = native.openFollow(bytesOf(path), O_RDONLY | O_DIRECTORY);
  const synced = fd < 0 ? fd : native.syncfs(fd);
  if (fd >= 0) native.close(fd);
  if (synced < 0) throw new StoreError(`${path} cannot be brought to the disk: ${errnoName(synced)}`);
}
