import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoName } from "../errno.js";
import { MNT_DETACH } from "../native/constants.js";
import { native } from "../native/index.js";
import { topMountOn } from "../native/mountinfo.js";
import { publish } from "../store/atomic.js";
import { placesOf } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError } from "../store/error.js";
import { imageTrees, readImage } from "../store/images.js";
import type { ContainerRecord } from "../store/records.js";
import { makeTemporary } from "../store/temporary.js";
import { bytes } from "./root-view.js";

/** A union to be mounted. Paths are UTF-8 text; lowers come top first. */
export interface UnionPlan {
  readonly lowers: readonly string[];
  readonly upper?: string;
  readonly work?: string;
  readonly mountpoint: string;
  /** The most that `upper` may hold, as written: `10G`. */
  readonly size?: string;
}

/** Mounts and unmounts unions; the command line knows how drivers are started. */
export interface UnionMounter {
  /** Resolves when the mount answers. Throws. */
  mount(plan: UnionPlan): Promise<void>;
  /** Resolves when the driver has ended. Throws if the mount is in use. */
  unmount(mountpoint: string): Promise<void>;
}

/** What the tree of a container has at least: where the runtime mounts something. Below all layers, so that the image decides. */
const skeletonDirectories = ["dev", "dev/pts", "dev/shm", "dev/mqueue", "etc", "proc", "sys"];
const skeletonFiles = ["dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];

/** The lowest layer of all containers, made at first use. Without it a mountpoint would be a change of the container. */
export async function skeletonLayer(root: DataRoot): Promise<string> {
  const path = join(root.path, "skeleton");
  if (existsSync(path)) return path;
  const temporary = await makeTemporary(root, "skeleton");
  try {
    const built = join(temporary.path, "tree");
    mkdirSync(built, { mode: 0o755 });
    for (const name of skeletonDirectories) mkdirSync(join(built, name), { mode: 0o755 });
    for (const name of skeletonFiles) writeFileSync(join(built, name), "", { mode: 0o644 });
    symlinkSync("/proc/mounts", join(built, "etc/mtab"));
    publish(built, path);
  } catch (cause) {
    // Another command was as quick: a directory that has something in it is not replaced by a rename.
    if (!existsSync(path)) throw new StoreError(`${path} cannot be made`, { cause });
  } finally {
    temporary.dispose();
  }
  return path;
}

/** The union of a container: its writable layer over those of the image. */
export async function unionOf(root: DataRoot, container: ContainerRecord): Promise<UnionPlan> {
  const { upper, work, merged } = placesOf(root, container.id);
  const lowers = imageTrees(root, readImage(root, container.image.id));
  return {
    lowers: [...lowers, await skeletonLayer(root)],
    upper,
    work,
    mountpoint: merged,
    ...container.storageOptions,
  };
}

/** Whether something is mounted there, perhaps by a driver that is dead. */
export function isMounted(path: string): boolean {
  return topMountOn(bytes(path)) !== undefined;
}

/**
 * Unmounts the union, and detaches it if it cannot be otherwise: its driver is dead, or somebody from outside the container still looks at
 * it. Throws StoreError.
 */
export async function unmountUnion(mounter: UnionMounter, mountpoint: string): Promise<void> {
  for (let attempts = 0; isMounted(mountpoint); attempts++) {
    try {
      await mounter.unmount(mountpoint);
      return;
    } catch (cause) {
      // A process that has just ended gives up its files a moment later.
      if (attempts < 20) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      const result = native.umount(bytes(mountpoint), MNT_DETACH);
      if (result < 0) throw new StoreError(`${mountpoint} cannot be unmounted: ${errnoName(result)}`, { cause });
    }
  }
}
