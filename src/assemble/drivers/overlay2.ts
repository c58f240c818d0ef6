import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { EINVAL, ENODEV, ENOSYS, EPERM, errnoName } from "../../errno.js";
import { limitByProject, ProjectQuota, unlimit } from "../../layer/project-quota.js";
import { AT_FDCWD, O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { placesOf } from "../../store/containers.js";
import { StoreError } from "../../store/error.js";
import { makeTemporary } from "../../store/temporary.js";
import { bytesOf } from "../../text.js";
import { parseSize } from "../specs/size.js";
import { type UnionMounter, type UnionPlan, unionOf, unmountUnion } from "../union.js";
import type { StorageDriver } from "./driver.js";
import { upperFormat } from "./upper.js";

/** What makes the kernel read and write what cowfs does; `xino=auto` keeps inode numbers apart where layers lie on several file systems. */
const features = ["redirect_dir=on", "metacopy=on", "index=on", "xino=auto"];

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
      // A detached mount, which nobody sees, and which is gone when its descriptor is closed.
      const mounted = withDirectories([lower, upper, work], ([a = "", b = "", c = ""]) =>
        native.newMount("overlay", [`lowerdir=${a}`, `upperdir=${b}`, `workdir=${c}`, ...features].join(","), 0),
      );
      if (mounted >= 0) native.close(mounted);
      return mounted >= 0 ? undefined : reasonOf(mounted);
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
    limit(plan);
    const mounted = mountOverlay(plan);
    if (mounted < 0) throw new StoreError(`${plan.mountpoint}: overlayfs cannot be mounted: ${reasonOf(mounted)}`);
  },
};

/** Sets the size of a writable layer, or takes away the one that it had. Throws StoreError where the file system keeps none. */
function limit({ upper = "", work = "", size }: Pick<UnionPlan, "upper" | "work" | "size">): void {
  const bytes = size === undefined ? undefined : parseSize(size);
  const opened = [upper, work].map((path) => native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY));
  const [upperFd = -1, workFd = -1] = opened;
  const failure = opened.find((fd) => fd < 0);
  const done = failure === undefined ? limitOpen(upperFd, workFd, bytes) : failure;
  for (const fd of opened) if (fd >= 0) native.close(fd);
  if (failure !== undefined)
    throw new StoreError(`the writable layer ${upper} cannot be opened: ${errnoName(failure)}`);
  if (done === 0) return;
  const why = done === null ? "" : ` (${errnoName(done)})`;
  throw new StoreError(
    `the storage driver overlay2 cannot keep a size here${why}: that takes project quotas below the data root (ext4 mounted with prjquota, xfs with pquota) from the first start on; use --driver cowfs`,
  );
}

/** 0, null where the file system keeps no limit, or -errno. */
function limitOpen(upper: number, work: number, bytes: number | undefined): number | null {
  if (bytes === undefined) return unlimit(upper);
  const project = limitByProject(upper, work, bytes);
  return project instanceof ProjectQuota ? project.enforce() : project;
}

function reasonOf(result: number): string {
  if (result === -ENODEV) return "the kernel has no overlay file system";
  if (result === -ENOSYS) return "needs Linux 5.2";
  if (result === -EPERM) return "no permission to mount";
  if (result === -EINVAL) return "the file system of the data root cannot hold its upper layers (EINVAL)";
  return errnoName(result);
}

/**
 * Opens directories, and calls `work` with names for them that are short whatever the paths are, and have no character in them that would need a
 * backslash. Returns its result, or -errno.
 */
function withDirectories(paths: readonly string[], work: (names: readonly string[]) => number): number {
  const opened: number[] = [];
  try {
    for (const path of paths) {
      const fd = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
      if (fd < 0) return fd;
      opened.push(fd);
    }
    return work(opened.map((fd) => `/proc/self/fd/${fd}`));
  } finally {
    for (const fd of opened) native.close(fd);
  }
}

/** Returns 0 or -errno. */
function mountOverlay({ lowers, upper = "", work = "", mountpoint }: UnionPlan): number {
  return withDirectories([mountpoint, upper, work, ...lowers], ([target = "", upperName, workName, ...layers]) => {
    const own = [`upperdir=${upperName}`, `workdir=${workName}`, ...features];
    // One option for each layer, and no limit to their length, from Linux 6.5 on.
    const detached = native.newMount("overlay", [...layers.map((layer) => `lowerdir+=${layer}`), ...own].join(","), 0);
    if (detached === -EINVAL) {
      return native.mount("overlay", target, "overlay", 0, [`lowerdir=${layers.join(":")}`, ...own].join(","));
    }
    if (detached < 0) return detached;
    const moved = native.moveMount(detached, Number(target.slice(target.lastIndexOf("/") + 1)));
    native.close(detached);
    return moved;
  });
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
