/** What `btrfs` and `vfs` share: a container has a whole tree of its own, copied of the base tree of its image, and shown by a bind mount. */
import { join } from "node:path";
import { errnoName } from "../../errno.js";
import { openBelow } from "../../layer/long-path.js";
import { O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { changesTarChunks } from "../../store/archive/layer-tar.js";
import { baseDirectory } from "../../store/bases.js";
import { placesOf } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError, StoreError } from "../../store/error.js";
import { readImage, readImageIfThere } from "../../store/images.js";
import type { ContainerRecord } from "../../store/records.js";
import { isGone, SizeSum, treeSize } from "../../store/tree-size.js";
import { shown } from "../../text.js";
import { applyMounts } from "../apply.js";
import type { Change } from "../changes.js";
import type { PlannedMount } from "../plan.js";
import { type BaseMaker, copyBase, ensureBase } from "./base-trees.js";
import type { StorageDriver } from "./driver.js";
import { type IsUntouched, openTree, treeChanges } from "./tree-changes.js";

/** What one of these drivers does by its own. */
export interface TreeKeeper extends BaseMaker, Pick<StorageDriver, "lacking"> {
  readonly name: "btrfs" | "vfs";
  /** What tells that an object of a container, in the directory `directory`, is still what was copied. */
  untouched(directory: string): IsUntouched;
}

/** What `lacking` says to others: everybody may make subvolumes, and copy. */
export const needsRoot = "needs root, to keep the owners of files and to mount";

export function treeDriver(keeper: TreeKeeper): StorageDriver {
  const { name } = keeper;
  const baseOf = (root: DataRoot, { image }: ContainerRecord): Promise<string> =>
    ensureBase(root, keeper, readImage(root, image.id));
  const changes = async (root: DataRoot, container: ContainerRecord): Promise<Change[]> => {
    const { path, tree } = placesOf(root, container.id);
    return treeChanges(tree, await baseOf(root, container), keeper.untouched(path));
  };
  return {
    name,
    format: name,
    limitsSize: false,
    directories: ["tree"],
    lacking: (root) => keeper.lacking(root),

    async prepare(root, container, directory) {
      await copyBase(keeper, await baseOf(root, container), join(directory, "tree"));
    },

    async mount(root, { id }) {
      const { tree, merged } = placesOf(root, id);
      await applyMounts(root, merged, [wholeOf(tree)]);
    },

    diff: changes,

    async layer(root, container) {
      return changesTarChunks(placesOf(root, container.id).tree, await changes(root, container));
    },

    async size(root, container) {
      const { tree } = placesOf(root, container.id);
      try {
        return sizeOf(tree, await changes(root, container));
      } catch (error) {
        if (!(error instanceof NotFoundError)) throw error;
        // Without its image there is nothing that it could share.
        return treeSize(tree);
      }
    },

    places(root, { id, image }) {
      const { tree, merged } = placesOf(root, id);
      const found = readImageIfThere(root, image.id);
      const base = found === undefined ? "" : join(baseDirectory(root, name, found.layers), "tree");
      return { BaseDir: base, MergedDir: merged, TreeDir: tree };
    },
  };
}

/** A mount of a tree on the whole of `merged`. What is mounted there later is not seen in the tree itself. */
function wholeOf(tree: string): PlannedMount {
  return {
    ...{ kind: "bind", source: tree, target: "/", readOnly: false, recursive: false, readOnlyRecursive: "no" },
    ...{ propagation: "private", flags: [], data: [] },
  };
}

/** How many bytes the files hold that were added or changed. */
function sizeOf(tree: string, changes: readonly Change[]): number {
  const root = openTree(tree);
  const sum = new SizeSum();
  try {
    for (const { kind, path } of changes) {
      if (kind === "D") continue;
      const slash = path.lastIndexOf("/");
      const parent = openBelow(root, path.slice(1, Math.max(slash, 1)), O_PATH | O_DIRECTORY);
      if (isGone(parent)) continue;
      if (parent < 0) throw new StoreError(`${shown(path)} of a container cannot be looked at: ${errnoName(parent)}`);
      try {
        sum.add(parent, path.slice(slash + 1), path);
      } finally {
        native.close(parent);
      }
    }
  } finally {
    native.close(root);
  }
  return sum.bytes;
}
