/** What `cowfs` and `overlay2` share: the layers of the image stay apart, and an upper in the format of overlayfs takes the changes. */
import { lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { errnoName } from "../../errno.js";
import { AT_FDCWD } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { layerTarChunks } from "../../store/archive/layer-tar.js";
import { placesOf } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { imageTrees, readImage, readImageIfThere } from "../../store/images.js";
import type { ContainerRecord } from "../../store/records.js";
import { treeSize } from "../../store/tree-size.js";
import { bytesOf } from "../../text.js";
import { changesOf, shownNames } from "../changes.js";
import { type LinkedName, linkedNames } from "../linked-names.js";
import { skeletonLayer } from "../union.js";
import type { StorageDriver } from "./driver.js";

async function lowersOf(root: DataRoot, { image }: ContainerRecord): Promise<string[]> {
  return [...imageTrees(root, readImage(root, image.id)), await skeletonLayer(root)];
}

/** Names of files that were changed by another of their names: they show the change, and are not in the upper. */
function linkedIn(root: DataRoot, { id }: ContainerRecord, lowers: readonly string[]): LinkedName[] {
  const { upper, work } = placesOf(root, id);
  return shownNames(upper, lowers, linkedNames(upper, work, lowers));
}

export const upperFormat: Omit<StorageDriver, "name" | "limitsSize" | "lacking" | "mount"> = {
  format: "upper",
  directories: ["upper", "work"],

  /** Costs the same however many containers there are: an empty upper, whose root has the mode and owner of the image's. */
  async prepare(root, container, directory) {
    for (const name of upperFormat.directories) mkdirSync(join(directory, name), { mode: 0o755 });
    const { mode, uid, gid } = lstatSync((await lowersOf(root, container))[0] as string);
    const upper = bytesOf(join(directory, "upper"));
    const done = native.chown(AT_FDCWD, upper, uid, gid) || native.chmod(AT_FDCWD, upper, mode & 0o7777);
    if (done < 0) {
      throw new StoreError(`the writable layer of ${container.name} cannot be made like its image: ${errnoName(done)}`);
    }
  },

  async diff(root, container) {
    const lowers = await lowersOf(root, container);
    return changesOf(placesOf(root, container.id).upper, lowers, linkedIn(root, container, lowers));
  },

  async layer(root, container, merged) {
    const linked = linkedIn(root, container, await lowersOf(root, container));
    return layerTarChunks(placesOf(root, container.id).upper, { marks: "overlay", merged, linked });
  },

  async size(root, { id }) {
    return treeSize(placesOf(root, id).upper);
  },

  places(root, { id, image }) {
    const { upper, work, merged } = placesOf(root, id);
    const found = readImageIfThere(root, image.id);
    const lowers = found === undefined ? [] : imageTrees(root, found);
    return { LowerDir: lowers.join(":"), MergedDir: merged, UpperDir: upper, WorkDir: work };
  },
};
