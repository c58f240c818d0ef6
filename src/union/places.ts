/** The directories that a user names: opened, and refused where they are no directories or lie in each other. */
import {
  EACCES,
  EDQUOT,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ENOTCONN,
  ENOTDIR,
  EROFS,
  errnoName,
  ignore,
  isAbsent,
} from "../errno.js";
import { canBeSealed, openRoot } from "../layer/layer.js";
import { Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { type Mount, readMounts } from "../native/mountinfo.js";
import { MountError } from "./mount-error.js";
import { basename, dirname, isInside, realPath, shown } from "./paths.js";

/** What must lie apart. Absolute paths as bytes in latin1 strings. */
export interface Places {
  readonly mountpoint: string;
  readonly upper?: string | undefined;
  readonly work?: string | undefined;
}

/** The default work directory of an upper: hidden, beside it, on the same file system. */
export function defaultWork(upper: string): string {
  const parent = dirname(upper);
  return `${parent === "/" ? "" : parent}/.${basename(upper)}.work`;
}

/** Opens a directory that must be there and readable: an O_PATH descriptor. Throws MountError. */
export function openLayer(path: string, what: string): number {
  let fd = openRoot(path);
  if (fd >= 0) {
    const readable = native.reopen(fd, O_RDONLY | O_DIRECTORY);
    if (readable >= 0) {
      ignore(native.close(readable), "only a check");
      return fd;
    }
    ignore(native.close(fd), "an O_PATH descriptor");
    fd = readable;
  }
  return refuse(path, what, fd);
}

function refuse(path: string, what: string, result: number): never {
  const remedy: Record<number, string> = {
    [ENOENT]: "it does not exist: create it or correct the path",
    [ENOTDIR]: "it, or something on the way to it, is not a directory: correct the path",
    [EACCES]: "permission denied: make it readable for the user who mounts",
    [ELOOP]: "its symbolic links lead in a circle",
    [ENOTCONN]: "a mount whose driver has died is there: unmount it first (cowfs umount)",
  };
  throw new MountError(`cannot use ${what} ${shown(path)}: ${remedy[-result] ?? errnoName(result)}`, path);
}

/** Why nothing can be created in a directory, and what to do about it. `what`: what was to be created, as `refuse` calls it. */
export function whyNotCreated(result: number, directory: string, what: string): string {
  const other = what === "work directory" ? "name another with --work" : "name another";
  const remedy: Record<number, string> = {
    [EACCES]: `no permission to write in ${shown(directory)}: give it to the user who mounts, or ${other}`,
    [ENAMETOOLONG]: `the name is too long: ${other}`,
    [ENOENT]: `${shown(directory)} does not exist: create it first`,
    [ENOSPC]: `no space or no inode is left on the file system: make room, or ${other}`,
    [EDQUOT]: `a quota is used up: make room, or ${other}`,
    [EROFS]: "its file system is read-only: use a writable one, or mount without --upper",
  };
  return remedy[-result] ?? errnoName(result);
}

/** Where a directory is: its real path, and that in its file system, which bind mounts have in common. */
interface Spot {
  readonly path: string;
  /** Device and path; empty where the kernel does not tell. */
  readonly location: string;
}

const stat = new Stat();
/** STATX_MNT_ID. */
const STATX_MNT_ID = 0x1000;

function spotOf(fd: number, path: string, mounts: readonly Mount[]): Spot {
  const real = realPath(fd, path);
  const r = native.statx(fd, "", STATX_MNT_ID, stat.bytes);
  const mount = r < 0 ? undefined : mounts.find(({ id }) => id === stat.mountId);
  if (mount === undefined || !isInside(real, mount.mountpoint)) return { path: real, location: "" };
  const rest = mount.mountpoint === "/" ? real : real.slice(mount.mountpoint.length);
  const inside = `${mount.root === "/" ? "" : mount.root}${rest}`;
  return { path: real, location: `${mount.major}:${mount.minor}:${inside === "" ? "/" : inside}` };
}

/**
 * Refuses directories that contain each other, under whatever path: changes would then come through two ways. The mountpoint may be a
 * lower layer, or lie in one. `lowers` are descriptors, of the directories named `paths`. Throws MountError.
 */
export function checkPlaces(options: Places, lowers: readonly number[], paths: readonly string[]): void {
  const { mountpoint } = options;
  const mounts = readMounts();
  const below = lowers.map((fd, i) => spotOf(fd, paths[i] as string, mounts));
  const mountFd = openLayer(mountpoint, "mountpoint");
  const mountReal = realPath(mountFd, mountpoint);
  ignore(native.close(mountFd), "an O_PATH descriptor");
  below.forEach((lower, i) => {
    // The union does not show in a clone of the mount that the layer is on, as which the layer is opened.
    if (isInside(mountReal, lower.path) && canBeSealed(lowers[i] as number)) return;
    checkMountpoint(mountReal, lower.path, "lower layer");
  });
  if (options.upper === undefined) return;
  const upper = spotOrFuture(options.upper, "upper layer", mounts);
  const work = spotOrFuture(options.work ?? defaultWork(options.upper), "work directory", mounts);
  checkMountpoint(mountReal, upper.path, "upper layer");
  checkMountpoint(mountReal, work.path, "work directory");
  for (const [i, lower] of below.entries()) {
    for (const [spot, what] of [
      [upper, "upper layer"],
      [work, "work directory"],
    ] as const) {
      // Nor does what is mounted below the layer: where the file systems are known, they tell.
      const areKnown = isInside(spot.path, lower.path) && spot.location !== "" && lower.location !== "";
      const isApart = areKnown && canBeSealed(lowers[i] as number);
      refuseNested(spot, what, lower, "lower layer", isApart ? ["location"] : ["path", "location"]);
    }
  }
  refuseNested(work, "work directory", upper, "upper layer", ["path", "location"]);
}

function checkMountpoint(mountpoint: string, path: string, what: string): void {
  if (isInside(mountpoint, path)) {
    throw new MountError(
      `mountpoint ${shown(mountpoint)} lies in the ${what} ${shown(path)}: mount elsewhere`,
      mountpoint,
    );
  }
  if (isInside(path, mountpoint)) {
    throw new MountError(
      `the ${what} ${shown(path)} lies in the mountpoint ${shown(mountpoint)}, which would cover it: mount elsewhere`,
      path,
    );
  }
}

function refuseNested(a: Spot, whatA: string, b: Spot, whatB: string, by: readonly (keyof Spot)[]): void {
  for (const which of by) {
    const [inA, inB] = [a[which], b[which]];
    if (inA === "" || inB === "") continue;
    const two = a.path === b.path ? shown(a.path) : `${shown(a.path)} and ${shown(b.path)}`;
    if (inA === inB) throw new MountError(`${whatA} and ${whatB} are the same directory ${two}: use two`, a.path);
    refuseInside(a, whatA, b, whatB, isInside(inA, inB));
    refuseInside(b, whatB, a, whatA, isInside(inB, inA));
  }
}

function refuseInside(inner: Spot, what: string, outer: Spot, whatOuter: string, inside: boolean): void {
  if (!inside) return;
  const why = `lies in the ${whatOuter} ${shown(outer.path)}: move it out`;
  throw new MountError(`the ${what} ${shown(inner.path)} ${why}`, inner.path);
}

/** Where a directory is that exists, or that its parent directory will get. */
function spotOrFuture(path: string, what: string, mounts: readonly Mount[]): Spot {
  const fd = openRoot(path);
  if (fd >= 0) {
    const spot = spotOf(fd, path, mounts);
    ignore(native.close(fd), "an O_PATH descriptor");
    return spot;
  }
  if (!isAbsent(fd)) refuse(path, what, fd);
  const parent = openRoot(dirname(path));
  if (parent < 0) {
    const why = whyNotCreated(parent, dirname(path), what);
    throw new MountError(`cannot create ${what} ${shown(path)}: ${why}`, path);
  }
  const spot = spotOf(parent, dirname(path), mounts);
  ignore(native.close(parent), "an O_PATH descriptor");
  const name = `/${basename(path)}`;
  const append = (to: string) => (to === "" ? "" : `${to.endsWith("/") ? to.slice(0, -1) : to}${name}`);
  return { path: append(spot.path), location: append(spot.location) };
}

/** The directory itself if it exists, otherwise its parent: where it will be. */
export function openNearest(path: string): { fd: number; exists: boolean } {
  const fd = openRoot(path);
  return fd >= 0 ? { fd, exists: true } : { fd: openLayer(dirname(path), "directory"), exists: false };
}
