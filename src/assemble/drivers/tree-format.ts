/** What `btrfs` and `vfs` share: a container has a whole tree of its own, copied of the base tree of its image, and shown by a bind mount. */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { errnoName } from "../../errno.js";
import { MS_PRIVATE, O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { changesTarChunks } from "../../store/archive/layer-tar.js";
import { baseDirectory } from "../../store/bases.js";
import { placesOf } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { readImage } from "../../store/images.js";
import type { ContainerRecord } from "../../store/records.js";
import { bytesOf } from "../../text.js";
import type { Change } from "../changes.js";
import { type BaseMaker, ensureBase } from "./base-trees.js";
import type { StorageDriver } from "./driver.js";
import { type IsUntouched, treeChanges } from "./tree-changes.js";

/** What one of these drivers does by its own. */
export interface TreeKeeper extends BaseMaker, Pick<StorageDriver, "lacking"> {
  readonly name: "btrfs" | "vfs";
  /** What tells that an object of a container, in the directory `directory`, is still what was copied. */
  untouched(directory: string): IsUntouched;
}

export function treeDriver(keeper: TreeKeeper): StorageDriver {
  const { name } = keeper;
  const baseOf = (root: DataRoot, { image }: ContainerRecord): Promise<string> =>
    ensureBase(root, keeper, readImage(root, image.id).layers);
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
      await keeper.copy(await baseOf(root, container), join(directory, "tree"));
    },

    async mount(root, { id }) {
      const { tree, merged } = placesOf(root, id);
      bind(tree, merged);
    },

    diff: changes,

    async layer(root, container) {
      return changesTarChunks(placesOf(root, container.id).tree, await changes(root, container));
    },

    async size(root, container) {
      return sizeOf(placesOf(root, container.id).tree, await changes(root, container));
    },

    places(root, { id, image }) {
      const { tree, merged } = placesOf(root, id);
      const base = join(baseDirectory(root, name, readImage(root, image.id).layers), "tree");
      return { BaseDir: base, MergedDir: merged, TreeDir: tree };
    },
  };
}

/** Shows a directory at another one. What is mounted there later is not seen in the directory itself. Throws StoreError. */
function bind(tree: string, merged: string): void {
  const opened: number[] = [];
  const check = (result: number): void => {
    if (result < 0) throw new StoreError(`${tree} cannot be mounted: ${errnoName(result)}`);
  };
  const kept = (fd: number): number => {
    check(fd);
    opened.push(fd);
    return fd;
  };
  try {
    const clone = kept(native.cloneMount(kept(native.openFollow(bytesOf(tree), O_PATH | O_DIRECTORY)), 0));
    const place = kept(native.openFollow(bytesOf(merged), O_PATH | O_DIRECTORY));
    check(native.setMountAttributes(clone, 0, 0, MS_PRIVATE, 0));
    check(native.moveMount(clone, place));
  } finally {
    for (const fd of opened) native.close(fd);
  }
}

/** How many bytes the files hold that were added or changed, each hard-linked file once. */
function sizeOf(tree: string, changes: readonly Change[]): number {
  const seen = new Set<string>();
  let sum = 0;
  for (const { kind, path } of changes) {
    if (kind === "D") continue;
    const stat = lstatSync(Buffer.concat([Buffer.from(tree), Buffer.from(path, "latin1")]), { throwIfNoEntry: false });
    if (stat?.isFile() !== true || seen.has(`${stat.dev}:${stat.ino}`)) continue;
    seen.add(`${stat.dev}:${stat.ino}`);
    sum += Math.min(stat.size, stat.blocks * 512);
  }
  return sum;
}
