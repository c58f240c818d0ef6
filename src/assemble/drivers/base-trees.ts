import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoName } from "../../errno.js";
import { O_DIRECTORY, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { applyLayer } from "../../store/apply-layer.js";
import { publish } from "../../store/atomic.js";
import { baseDirectory } from "../../store/bases.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { layerTree, layerTrees, readLayer } from "../../store/layers.js";
import { makeTemporary } from "../../store/temporary.js";
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
 * The base tree of layers (the lowest first), which is made if it is not there: everything is built aside, brought to the disk, and published by a
 * rename. Throws StoreError.
 */
export async function ensureBase(root: DataRoot, maker: BaseMaker, layers: readonly string[]): Promise<string> {
  const directory = baseDirectory(root, maker.name, layers);
  const tree = join(directory, "tree");
  if (existsSync(tree)) return tree;
  const below = maker.chained && layers.length > 0 ? await ensureBase(root, maker, belowTop(root, layers)) : undefined;
  const temporary = await makeTemporary(root, "base");
  try {
    const built = join(temporary.path, "base");
    mkdirSync(built, { mode: 0o700 });
    const work = join(built, "tree");
    if (below === undefined) {
      maker.create(work);
      await applyLayer(await skeletonLayer(root), work);
      for (const layer of layerTrees(root, layers).reverse()) await applyLayer(layer, work);
    } else {
      await maker.copy(below, work);
      await applyLayer(layerTree(root, layers.at(-1) as string), work);
    }
    maker.seal(work);
    syncTree(work);
    mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
    publish(built, directory);
  } catch (cause) {
    // Another command was as quick: a directory that has something in it is not replaced by a rename.
    if (!existsSync(tree)) throw cause;
  } finally {
    temporary.dispose();
  }
  return tree;
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
