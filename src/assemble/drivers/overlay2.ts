import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { EXDEV, errnoName } from "../../errno.js";
import { limitByProject, ProjectQuota, unlimit } from "../../layer/project-quota.js";
import { S_IFCHR } from "../../layer/stat.js";
import { AT_FDCWD, MNT_DETACH, O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { placesOf } from "../../store/containers.js";
import { StoreError } from "../../store/error.js";
import { makeTemporary } from "../../store/temporary.js";
import { bytesOf } from "../../text.js";
import { parseSize } from "../specs/size.js";
import { type UnionMounter, type UnionPlan, unionOf, unmountUnion } from "../union.js";
import type { StorageDriver } from "./driver.js";
import { mountOverlay, tryOverlay } from "./overlay-mount.js";
import { markPlain } from "./plain-names.js";
import { upperFormat } from "./upper.js";

/** The kernel's overlayfs, on the same directories as cowfs. */
export const overlay2Driver: StorageDriver = {
  ...upperFormat,
  name: "overlay2",
  limitsSize: true,

  async lacking(root) {
    const probe = await makeTemporary(root, "probe");
    try {
      const marked = native.setxattr(AT_FDCWD, bytesOf(probe.path), "trusted.cowfs.probe", Buffer.from("y"), 0);
      if (marked < 0) return "marks must be trusted attributes: that takes root, and a file system that has them";
      const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(probe.path, name)) as [
        string,
        string,
        string,
      ];
      for (const path of [lower, upper, work]) mkdirSync(path);
      // Where there are none, cowfs writes whiteouts that are files to the kernel.
      const made = native.mknodAs(AT_FDCWD, bytesOf(join(probe.path, "whiteout")), S_IFCHR, 0, 0, 0, 0);
      if (made < 0) return `whiteouts must be character devices 0:0, which cannot be made (${errnoName(made)})`;
      return tryOverlay(lower, upper, work);
    } finally {
      probe.dispose();
    }
  },

  async prepare(root, container, directory) {
    await upperFormat.prepare(root, container, directory);
    limit({ upper: join(directory, "upper"), work: join(directory, "work"), ...container.storageOptions });
  },

  takeOver(root, { id, storageOptions }) {
    const { upper, work } = placesOf(root, id);
    limit({ upper, work, ...storageOptions });
  },

  async mount(root, container, mounter) {
    const plan = await unionOf(root, container);
    await settle(plan, mounter);
    // At the limit there would be no room for what overlayfs makes in the work directory.
    const failure = limit(
      plan,
      () => mountOverlay(plan),
      () => unmountAgain(plan.mountpoint),
    );
    if (failure !== undefined) throw new StoreError(`${plan.mountpoint}: overlayfs cannot be mounted: ${failure}`);
  },

  async diff(root, container) {
    markPlain(placesOf(root, container.id).upper);
    return await upperFormat.diff(root, container);
  },

  async layer(root, container, merged) {
    markPlain(placesOf(root, container.id).upper);
    return await upperFormat.layer(root, container, merged);
  },
};

/**
 * Sets the size of a writable layer, or takes away the one that it had, after `first` has been done without any: returns what that says of its
 * failure. Throws StoreError where the file system keeps none; then `first` is not called, or `undo` is.
 */
function limit(
  { upper = "", work = "", size }: Pick<UnionPlan, "upper" | "work" | "size">,
  first: () => string | undefined = () => undefined,
  undo: () => void = () => undefined,
): string | undefined {
  const bytes = size === undefined ? undefined : parseSize(size);
  const opened = [upper, work].map((path) => native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY));
  try {
    const [upperFd = -1, workFd = -1] = opened;
    const failure = opened.find((fd) => fd < 0);
    if (failure !== undefined) {
      throw new StoreError(`the writable layer ${upper} cannot be opened: ${errnoName(failure)}`);
    }
    const limited = limitOpen(upperFd, workFd, bytes);
    if (!(limited instanceof ProjectQuota) && limited !== 0) throw notLimited(upper, bytes, limited);
    const said = first();
    const enforced = limited === 0 ? 0 : limited.enforce();
    // What is not there needs no limit yet: the next attempt sets it.
    if (enforced === 0 || said !== undefined) return said;
    undo();
    throw notLimited(upper, bytes, enforced);
  } finally {
    for (const fd of opened) if (fd >= 0) native.close(fd);
  }
}

/** `result`: as of `limitOpen`. */
function notLimited(upper: string, bytes: number | undefined, result: number | null): StoreError {
  if (result === -EXDEV) {
    return new StoreError(
      `the work directory of the writable layer ${upper} belongs to another project than that (see lsattr -pd), so nothing can be moved from it to the layer: remove what is in the work directory`,
    );
  }
  const why = result === null ? "" : ` (${errnoName(result)})`;
  if (bytes === undefined) return new StoreError(`the size of the writable layer ${upper} stays limited${why}`);
  return new StoreError(
    `the storage driver overlay2 cannot keep a size here${why}: that takes project quotas below the data root (ext4 mounted with prjquota, xfs with pquota) from the first start on; use --driver cowfs`,
  );
}

/** Nothing is run in a mount without the limit that it was to have. Throws StoreError. */
function unmountAgain(mountpoint: string): void {
  const r = native.umount(bytesOf(mountpoint), MNT_DETACH);
  if (r < 0) throw new StoreError(`${mountpoint} has no limit, and cannot be unmounted: ${errnoName(r)}`);
}

/** A limit that does not hold yet; or 0 if none is wanted, null where the file system keeps none, or -errno. */
function limitOpen(upper: number, work: number, bytes: number | undefined): ProjectQuota | number | null {
  return bytes === undefined ? unlimit(upper, work) : limitByProject(upper, work, bytes);
}

/**
 * Copies that are not on the disk yet, which a driver of cowfs left that was killed, have marks that the kernel does not know: one more mount of cowfs
 * settles them (docs/formats.md, "Copies that are not synced").
 */
async function settle(plan: UnionPlan, mounter: UnionMounter): Promise<void> {
  const log = join(plan.work ?? "", "work", "incompat");
  if (!existsSync(log) || readdirSync(log).length === 0) return;
  await mounter.mount(plan);
  await unmountUnion(mounter, plan.mountpoint);
  if (existsSync(log) && readdirSync(log).length > 0) {
    throw new StoreError(
      `the writable layer ${plan.upper} has copies that could not be brought to the disk, which overlayfs cannot read: start the container with --driver cowfs`,
    );
  }
}
