/** The directories that a user names: opened, and refused where they are no directories or lie in each other. */
import { EACCES, ELOOP, ENOENT, ENOTCONN, ENOTDIR, errnoName, ignore, isAbsent } from "../errno.js";
import { openRoot } from "../layer/layer.js";
import { O_DIRECTORY, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
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
    [ENOTDIR]: "it is not a directory",
    [EACCES]: "permission denied: make it readable for the user who mounts",
    [ELOOP]: "its symbolic links lead in a circle",
    [ENOTCONN]: "a mount whose driver has died is there: unmount it first (cowfs umount)",
  };
  throw new MountError(`cannot use ${what} ${shown(path)}: ${remedy[-result] ?? errnoName(result)}`, path);
}

/**
 * Refuses directories that contain each other: changes would then come through two ways. `lowers` are real paths. Throws MountError.
 */
export function checkPlaces(options: Places, lowers: string[]): void {
  const { mountpoint } = options;
  const mountFd = openLayer(mountpoint, "mountpoint");
  const mountReal = realPath(mountFd, mountpoint);
  ignore(native.close(mountFd), "an O_PATH descriptor");
  for (const lower of lowers) checkMountpoint(mountReal, lower, "lower layer");
  if (options.upper === undefined) return;
  const upper = realOrFuture(options.upper, "upper layer");
  const work = realOrFuture(options.work ?? defaultWork(options.upper), "work directory");
  checkMountpoint(mountReal, upper, "upper layer");
  checkMountpoint(mountReal, work, "work directory");
  for (const lower of lowers) {
    refuseNested(upper, "upper layer", lower, "lower layer");
    refuseNested(work, "work directory", lower, "lower layer");
  }
  refuseNested(work, "work directory", upper, "upper layer");
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

function refuseNested(a: string, whatA: string, b: string, whatB: string): void {
  if (a === b) throw new MountError(`${whatA} and ${whatB} are the same directory ${shown(a)}: use two`, a);
  if (isInside(a, b)) throw new MountError(`the ${whatA} ${shown(a)} lies in the ${whatB} ${shown(b)}: move it out`, a);
  if (isInside(b, a)) throw new MountError(`the ${whatB} ${shown(b)} lies in the ${whatA} ${shown(a)}: move it out`, b);
}

/** The real path of a directory that exists, or that its parent directory will get. */
function realOrFuture(path: string, what: string): string {
  const fd = openRoot(path);
  if (fd >= 0) {
    const real = realPath(fd, path);
    ignore(native.close(fd), "an O_PATH descriptor");
    return real;
  }
  if (!isAbsent(fd)) refuse(path, what, fd);
  const parent = openRoot(dirname(path));
  if (parent < 0) {
    throw new MountError(
      `cannot create ${what} ${shown(path)}: ${shown(dirname(path))} ${parent === -ENOENT ? "does not exist: create it first" : errnoName(parent)}`,
      path,
    );
  }
  const real = realPath(parent, dirname(path));
  ignore(native.close(parent), "an O_PATH descriptor");
  return `${real === "/" ? "" : real}/${basename(path)}`;
}

/** The directory itself if it exists, otherwise its parent: where it will be. */
export function openNearest(path: string): { fd: number; exists: boolean } {
  const fd = openRoot(path);
  return fd >= 0 ? { fd, exists: true } : { fd: openLayer(dirname(path), "directory"), exists: false };
}
