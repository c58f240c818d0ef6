import { EINVAL, ENAMETOOLONG, ENODEV, ENOSYS, EPERM, ESTALE, errnoName } from "../../errno.js";
import { trustedNames } from "../../layer/mark-names.js";
import { HAS_METACOPY, HAS_ORIGIN, readObjectMarks } from "../../layer/marks.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { AT_FDCWD, DT_REG, O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { bytesOf } from "../../text.js";
import type { UnionPlan } from "../union.js";
import { walkUpper } from "./walk-upper.js";

/** What makes the kernel read and write what cowfs does; `xino=auto` keeps inode numbers apart where layers lie on several file systems. */
const features = ["redirect_dir=on", "metacopy=on", "index=on", "xino=auto"];

/** What the kernel takes (OVL_MAX_STACK). */
const mostLayers = 500;

/** Mounts overlayfs. Returns undefined, or why it cannot be. Throws StoreError if it must mend the upper, and cannot. */
export function mountOverlay(plan: UnionPlan): string | undefined {
  const { lowers, upper = "", work = "" } = plan;
  if (lowers.length > mostLayers) return `it takes ${mostLayers} layers, and these are ${lowers.length}`;
  let mounted = mountAnyhow(plan);
  if (mounted === -ESTALE) {
    forgetOrigin(upper, work);
    mounted = mountAnyhow(plan);
  }
  if (mounted === -ENAMETOOLONG) return `before Linux 6.7 it does not take ${lowers.length} layers`;
  return mounted < 0 ? reasonOf(mounted) : undefined;
}

/** Whether the kernel could mount it with such an upper: undefined, or why not. Nobody sees the mount, which is gone when this returns. */
export function tryOverlay(lower: string, upper: string, work: string): string | undefined {
  const mounted = withDirectories([lower, upper, work], ([a = "", b = "", c = ""]) =>
    native.newMount("overlay", [`lowerdir=${a}`, `upperdir=${b}`, `workdir=${c}`, ...features].join(","), 0),
  );
  if (mounted < 0) return reasonOf(mounted);
  native.close(mounted);
  return undefined;
}

function reasonOf(result: number): string {
  if (result === -ENODEV) return "the kernel has no overlay file system";
  if (result === -ENOSYS) return "needs Linux 5.2";
  if (result === -EPERM) return "no permission to mount";
  if (result === -EINVAL) return "the file system of the data root cannot hold its upper layers (EINVAL)";
  return errnoName(result);
}

function mountAnyhow(plan: UnionPlan): number {
  const mounted = mountSingly(plan);
  return mounted === -EINVAL ? mountAtOnce(plan) : mounted;
}

/** By one option for each layer, whose length has no limit, from Linux 6.7 on: otherwise -EINVAL. Returns 0 or -errno. */
function mountSingly(plan: UnionPlan): number {
  return withPlan(plan, (target, layers, own) => {
    const detached = native.newMount("overlay", [...layers.map((layer) => `lowerdir+=${layer}`), ...own].join(","), 0);
    if (detached < 0) return detached;
    const moved = native.moveMount(detached, target);
    native.close(detached);
    return moved;
  });
}

/** By one option for all layers, of a page at the most: some 230 layers. Returns 0 or -errno. */
export function mountAtOnce(plan: UnionPlan): number {
  return withPlan(plan, (target, layers, own) => {
    const options = [`lowerdir=${layers.join(":")}`, ...own].join(",");
    return native.mount("overlay", nameOf(target), "overlay", 0, options);
  });
}

function withPlan(
  { lowers, upper = "", work = "", mountpoint }: UnionPlan,
  mount: (target: number, layers: readonly string[], own: readonly string[]) => number,
): number {
  return withDirectories([mountpoint, upper, work, ...lowers], ([, upperName, workName, ...layers], [target = -1]) =>
    mount(target, layers, [`upperdir=${upperName}`, `workdir=${workName}`, ...features]),
  );
}

function nameOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/**
 * Opens directories, and calls `work` with their descriptors, and with names for them that are short whatever the paths are, and have no character in them
 * that would need a backslash. Returns its result, or -errno.
 */
function withDirectories(
  paths: readonly string[],
  work: (names: readonly string[], opened: readonly number[]) => number,
): number {
  const opened: number[] = [];
  try {
    for (const path of paths) {
      const fd = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
      if (fd < 0) return fd;
      opened.push(fd);
    }
    return work(opened.map(nameOf), opened);
  } finally {
    for (const fd of opened) native.close(fd);
  }
}

/**
 * The kernel refuses an upper that was above another inode than the root of the topmost layer now has, and an index of another upper. In a data root they
 * belong together all the same, but one of them is a copy: a layer that was damaged and loaded again, or the whole data root. Without these two attributes
 * the kernel takes them, writes both anew, and forgets what of the index leads nowhere. And it shows no metacopy whose origin it finds elsewhere. Throws
 * StoreError.
 */
function forgetOrigin(upper: string, work: string): void {
  native.removexattr(AT_FDCWD, bytesOf(upper), trustedNames.origin);
  native.removexattr(AT_FDCWD, `${bytesOf(work)}/index`, trustedNames.upper);
  walkUpper(upper, (_, type) => type === DT_REG, forgetOriginOf);
}

const stat = new Stat();

/** Of one with several names the index needs it. */
function forgetOriginOf(fd: number, name: string): number {
  const marks = readObjectMarks(fd, name);
  if (marks < 0 || (marks & HAS_METACOPY) === 0 || (marks & HAS_ORIGIN) === 0) return marks;
  const found = native.statx(fd, name, STATX_ALL, stat.bytes);
  return found < 0 || stat.nlink > 1 ? found : native.removexattr(fd, name, trustedNames.origin);
}
