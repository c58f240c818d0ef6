import { EINVAL, ENOSYS, EPERM, ignore } from "../errno.js";
import { MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_RDONLY, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";

/** One layer: a directory tree below a root descriptor, which nothing in the tree can lead out of. */
export interface Layer {
  /** 0 is the upper; the lowers follow from top to bottom, from 1. */
  readonly index: number;
  /** As the user named it, for messages. */
  readonly path: string;
  /** O_PATH descriptor of its root. */
  readonly root: number;
  /** Whether the kernel itself refuses every write to it through `root`. */
  readonly sealed: boolean;
}

/** Opens the directory a user named, symbolic links followed: an O_PATH descriptor or -errno. */
export function openRoot(path: string): number {
  return native.openFollow(path, O_PATH | O_DIRECTORY);
}

/**
 * Turns the root of a lower layer into a detached, private, read-only, noatime mount of that one directory: the kernel
 * then refuses any write through it, no access time changes, and no mount on top of the layer shows. Where the privileges
 * do not allow it, the plain root serves; the driver never opens a lower layer for writing anyway.
 * Returns the layer, or -errno.
 */
export function sealLower(index: number, path: string, root: number): Layer | number {
  const clone = cloneSealed(root);
  if (clone === null) return { index, path, root, sealed: false };
  if (clone < 0) return clone;
  const unused = native.close(root);
  return unused < 0 ? unused : { index, path, root: clone, sealed: true };
}

/** Whether `sealLower` can clone the mount of this directory: what is mounted on it, or below, later is not seen through a clone. */
export function canBeSealed(root: number): boolean {
  const clone = cloneSealed(root);
  if (clone === null || clone < 0) return false;
  ignore(native.close(clone), "an O_PATH descriptor");
  return true;
}

/** A read-only clone of the mount at `root`; null where that is not permitted, or the kernel cannot; or -errno. */
function cloneSealed(root: number): number | null {
  const clone = native.cloneMount(root, 0);
  if (clone === -EPERM || clone === -ENOSYS || clone === -EINVAL) return null;
  if (clone < 0) return clone;
  const r = native.setMountAttributes(clone, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0, 0);
  if (r >= 0) return clone;
  ignore(native.close(clone), "an O_PATH descriptor");
  return null;
}
