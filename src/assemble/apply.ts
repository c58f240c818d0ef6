import { readFileSync } from "node:fs";
import { EINVAL, ENOENT, ENOSYS, EROFS, errnoName, isAbsent } from "../errno.js";
import { S_IFDIR, S_IFMT, STATX_ALL, Stat } from "../layer/stat.js";
import {
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_BIND,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  MS_SHARED,
  MS_SLAVE,
  O_DIRECTORY,
  O_PATH,
  UMOUNT_NOFOLLOW,
} from "../native/constants.js";
import { native } from "../native/index.js";
import { type Mount, readMounts } from "../native/mountinfo.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError, undoAfter } from "../store/error.js";
import { type FilledVolumes, lastChange } from "../store/filled-volume.js";
import { populateVolume } from "../store/populate.js";
import type { Propagation } from "../store/records.js";
import { bytesOf, shown } from "../text.js";
import { withImages } from "./image-mounts.js";
import type { PlannedMount } from "./plan.js";
import { openTarget } from "./target.js";
import { tmpfsAttributes, tmpfsOptions } from "./tmpfs.js";
import type { UnionMounter } from "./union.js";

/**
 * Mounts over a root, in order, by descriptors: what stands in the root leads no mount out of it. Before, volumes that are empty are filled with
 * what the root has at their targets. What a failure leaves half-way is undone. The process must not be the driver of that root. Throws
 * StoreError.
 */
export function applyMounts(
  root: DataRoot,
  merged: string,
  planned: readonly PlannedMount[],
  mounter?: UnionMounter,
): Promise<void> {
  return applyOver(root, bytesOf(merged), planned, mounter);
}

/** The same, with the root's path in bytes. */
export async function applyOver(
  root: DataRoot,
  merged: string,
  planned: readonly PlannedMount[],
  mounter?: UnionMounter,
): Promise<void> {
  if (planned.length === 0) return;
  await withTop(merged, async (top) => {
    try {
      for (const mount of planned) await populate(root, top, mount);
      await withImages(root, planned, mounter, async (ready) => {
        for (const mount of ready) attach(top, mount);
      });
    } catch (error) {
      await undoAfter(error, () => undoBelow(merged, true));
    }
  });
}

/** Fills volumes that are empty as `applyMounts` does, and mounts nothing. */
export function populateMounts(
  root: DataRoot,
  merged: string,
  planned: readonly PlannedMount[],
  filled: FilledVolumes,
): Promise<void> {
  return withTop(bytesOf(merged), async (top) => {
    for (const mount of planned) await populate(root, top, mount, filled);
  });
}

/** Does something with a descriptor of a root, while no umask takes modes away. */
async function withTop(merged: string, work: (top: number) => Promise<void>): Promise<void> {
  const top = native.openFollow(merged, O_PATH | O_DIRECTORY);
  if (top < 0) throw new StoreError(`${shown(merged)} cannot be opened: ${errnoName(top)}`);
  const mask = native.umask(0);
  try {
    await work(top);
  } finally {
    native.umask(mask);
    native.close(top);
  }
}

/** Fills the volume of a mount, if it is to be filled and the root has a directory at the target. */
async function populate(
  root: DataRoot,
  top: number,
  { populate: volume, source: data, target }: PlannedMount,
  filled: FilledVolumes = new Map(),
): Promise<void> {
  if (volume === undefined) return;
  const source = native.openInRoot(top, bytesOf(target), O_PATH);
  if (source === -ENOENT) return;
  if (source < 0) throw new StoreError(`the target ${target} cannot be opened: ${errnoName(source)}`);
  try {
    if (!isDirectory(source)) {
      throw new StoreError(`cannot mount volume over existing file, file exists ${target}`);
    }
    if (await populateVolume(root, volume, data, source)) filled.set(volume, lastChange(data));
  } finally {
    native.close(source);
  }
}

function isDirectory(fd: number): boolean {
  return (statOf(fd).mode & S_IFMT) === S_IFDIR;
}

function statOf(fd: number): Stat {
  const stat = new Stat();
  const result = native.statx(fd, "", STATX_ALL, stat.bytes);
  if (result < 0) throw new StoreError(`a mount's source or target cannot be looked at: ${errnoName(result)}`);
  return stat;
}

/** Makes one mount. */
function attach(top: number, mount: PlannedMount): void {
  const descriptors: number[] = [];
  const kept = (fd: number, what: string): number => {
    if (fd < 0) throw new StoreError(`${what}: ${errnoName(fd)}`);
    descriptors.push(fd);
    return fd;
  };
  const { target } = mount;
  try {
    const isNew = isMissing(top, target);
    const source = mount.kind === "tmpfs" ? undefined : openSource(mount, kept);
    const place = openTarget(top, bytesOf(target), source !== undefined && !isDirectory(source));
    if (place === -EROFS) {
      throw new StoreError(`the target ${target} is missing and cannot be made: the root is read-only`);
    }
    kept(place, `the target ${target} cannot be made`);
    const detached = source === undefined ? newTmpfs(mount, place, isNew, kept) : cloneSource(mount, source, kept);
    const what = mount.source || "a tmpfs";
    if (isDirectory(place) !== (source === undefined || isDirectory(source))) {
      throw new StoreError(
        `${what} cannot be mounted at ${target}: not a directory: a directory goes onto a directory, and a file onto a file`,
      );
    }
    const moved = native.moveMount(detached, place);
    if (moved < 0) throw new StoreError(`${what} cannot be mounted at ${target}: ${errnoName(moved)}`);
    settle(mount, detached);
  } finally {
    for (const fd of descriptors) native.close(fd);
  }
}

function isMissing(top: number, target: string): boolean {
  const fd = native.openInRoot(top, bytesOf(target), O_PATH);
  if (fd >= 0) native.close(fd);
  return isAbsent(fd);
}

type Keep = (fd: number, what: string) => number;

/** The source of a bind; a part of it is looked for as in a root. */
function openSource({ source, called = source, subpath, propagation }: PlannedMount, keep: Keep): number {
  const fd = native.openFollow(bytesOf(source), O_PATH);
  if (fd === -ENOENT) {
    throw new StoreError(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
  }
  keep(fd, `the source ${source} cannot be opened`);
  checkPropagation(fd, source, propagation);
  if (subpath === undefined) return fd;
  const found = native.openInRoot(fd, bytesOf(subpath), O_PATH);
  if (isAbsent(found)) throw new StoreError(`${subpath} does not exist in ${called}`);
  return keep(found, `${subpath} in ${called} cannot be opened`);
}

/** A mount takes part in what happens below its source only if the source's mount shares that. */
function checkPropagation(fd: number, source: string, propagation: Propagation): void {
  if (/private$/.test(propagation)) return;
  const id = mountIdOf(fd);
  const mount = readMounts().find((candidate) => candidate.id === id);
  const isShared = mount?.tags.some((tag) => tag.startsWith("shared:")) === true;
  const isSlave = mount?.tags.some((tag) => tag.startsWith("master:")) === true;
  const on = shown(mount?.mountpoint ?? "?");
  if (/shared$/.test(propagation) && !isShared) {
    throw new StoreError(`path ${source} is mounted on ${on} but it is not a shared mount`);
  }
  if (/slave$/.test(propagation) && !isShared && !isSlave) {
    throw new StoreError(`path ${source} is mounted on ${on} but it is not a shared or slave mount`);
  }
}

function mountIdOf(fd: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
  return Number(/^mnt_id:\s+(\d+)/m.exec(text)?.[1]);
}

function newTmpfs(mount: PlannedMount, place: number, isNew: boolean, keep: Keep): number {
  const options = tmpfsOptions(mount, isNew ? undefined : statOf(place));
  const attributes = tmpfsAttributes(mount);
  return keep(native.newMount("tmpfs", options, attributes), `the tmpfs at ${mount.target} cannot be made`);
}

/** A detached copy of the source's mount, read-only if it is to be. */
function cloneSource(mount: PlannedMount, source: number, keep: Keep): number {
  const { readOnly, recursive, readOnlyRecursive } = mount;
  const detached = keep(native.cloneMount(source, recursive ? 1 : 0), `${mount.source} cannot be mounted`);
  if (!readOnly) return detached;
  const everywhere = recursive && readOnlyRecursive !== "no" ? 1 : 0;
  const result = native.setMountAttributes(detached, MOUNT_ATTR_RDONLY, 0, 0, everywhere);
  if (result < 0 && (result !== -ENOSYS || readOnlyRecursive === "must")) {
    throw new StoreError(`${mount.source} cannot be made read-only: ${errnoName(result)}`);
  }
  return detached;
}

const propagationBits = { private: MS_PRIVATE, shared: MS_SHARED, slave: MS_SLAVE };

/**
 * What can be said of a mount only when it is in its place: a mount that comes into a shared one is shared at first. Before Linux 5.12, which
 * has mount_setattr(2), it is remounted by the path of its descriptor.
 */
function settle({ propagation, recursive, readOnly, kind, target }: PlannedMount, fd: number): void {
  const isRecursive = propagation.startsWith("r") && recursive;
  const bits = propagationBits[propagation.replace(/^r/, "") as keyof typeof propagationBits];
  const self = `/proc/self/fd/${fd}`;
  let result = native.setMountAttributes(fd, 0, 0, bits, isRecursive ? 1 : 0);
  if (result === -ENOSYS) {
    result = native.mount("", self, "", bits | (isRecursive ? MS_REC : 0), "");
    if (result >= 0 && readOnly && kind !== "tmpfs") {
      result = native.mount("", self, "", MS_REMOUNT | MS_BIND | MS_RDONLY, "");
    }
  }
  if (result < 0) throw new StoreError(`the mount at ${target} cannot be made ${propagation}: ${errnoName(result)}`);
}

/** The mounts on a root, a path in bytes, and on those: each after the one it is on. What lies below a covered root is not reached. */
export function mountsBelow(merged: string): Mount[] {
  const mounts = readMounts();
  const top = mounts.findLast(({ mountpoint }) => mountpoint === merged);
  const found = top === undefined ? [] : [top];
  for (const over of found) {
    for (const mount of mounts) if (mount.parent === over.id && mount.mountpoint !== merged) found.push(mount);
  }
  return found.slice(1);
}

/**
 * Unmounts everything that is mounted below a root, the last one first. Nothing of that is seen anywhere else: mounts that share with others are
 * made private first. Throws StoreError if something is in use; `force` detaches it then.
 */
export function undoMounts(merged: string, force = false): void {
  undoBelow(bytesOf(merged), force);
}

/** The same, with the root's path in bytes. */
export function undoBelow(merged: string, force: boolean): void {
  // Nothing is unmounted before all are private: what is unmounted on a shared mount is so wherever that is mounted, on the host, too.
  const mounts = mountsBelow(merged).filter(({ mountpoint }) => {
    const result = native.mount("", mountpoint, "", MS_PRIVATE, "");
    // It is gone already.
    if (result === -EINVAL || result === -ENOENT) return false;
    if (result < 0) throw new StoreError(`${shown(mountpoint)} cannot be made private: ${errnoName(result)}`);
    return true;
  });
  for (const { mountpoint } of mounts.reverse()) {
    let result = native.umount(mountpoint, UMOUNT_NOFOLLOW);
    if (result < 0 && force) result = native.umount(mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH);
    if (result < 0) throw new StoreError(`${shown(mountpoint)} cannot be unmounted: ${errnoName(result)}`);
  }
}
