import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { errnoName } from "../errno.js";
import { MNT_DETACH } from "../native/constants.js";
import { native } from "../native/index.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError } from "../store/error.js";
import { findImage, imageTrees } from "../store/images.js";
import { shortId } from "../store/names.js";
import { makeTemporary } from "../store/temporary.js";
import { bytesOf } from "../text.js";
import type { PlannedMount } from "./plan.js";
import type { UnionMounter } from "./union.js";

/**
 * Does something with planned mounts in which images have become binds of a read-only union, which is mounted aside for that time: the binds
 * keep it, and its driver ends with the last of them. Throws StoreError if there is no such image.
 */
export async function withImages<T>(
  root: DataRoot,
  planned: readonly PlannedMount[],
  mounter: UnionMounter | undefined,
  work: (planned: readonly PlannedMount[]) => Promise<T>,
): Promise<T> {
  if (planned.every(({ kind }) => kind !== "image")) return await work(planned);
  if (mounter === undefined) throw new StoreError("images cannot be mounted here");
  const temporary = await makeTemporary(root, "images");
  const mounted: string[] = [];
  try {
    const ready: PlannedMount[] = [];
    for (const mount of planned) {
      if (mount.kind !== "image") {
        ready.push(mount);
        continue;
      }
      const mountpoint = join(temporary.path, String(mounted.length));
      mkdirSync(mountpoint);
      await mounter.mount({ lowers: imageTrees(root, findImage(root, mount.source)), mountpoint });
      mounted.push(mountpoint);
      ready.push({ ...mount, kind: "bind", source: mountpoint, called: `image ${shortId(mount.source)}` });
    }
    return await work(ready);
  } finally {
    for (const mountpoint of mounted) detach(mountpoint);
    temporary.dispose();
  }
}

function detach(mountpoint: string): void {
  const result = native.umount(bytesOf(mountpoint), MNT_DETACH);
  if (result < 0) throw new StoreError(`${mountpoint} cannot be unmounted: ${errnoName(result)}`);
}
