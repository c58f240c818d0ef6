/** Subvolumes of btrfs (btrfs-ioctl(2)): trees that are copied by one system call. Results are 0 or -errno. */
import { type Dirent, readdirSync, statfsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { O_DIRECTORY, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { bytesOf } from "../text.js";

const BTRFS_SUPER_MAGIC = 0x9123683e;
/** The inode number of the root of each subvolume. */
const SUBVOLUME_ROOT = 256;

const BTRFS_IOC_SNAP_DESTROY = 0x5000940f;
const BTRFS_IOC_SNAP_CREATE_V2 = 0x50009417;
const BTRFS_IOC_SUBVOL_CREATE_V2 = 0x50009418;
const BTRFS_IOC_SUBVOL_SETFLAGS = 0x4008941a;
const BTRFS_SUBVOL_RDONLY = 2;

/** The arguments of these: 4096 bytes, with a descriptor first, and a name at 8 or at 56. */
const ARGUMENTS_SIZE = 4096;
const NAME_AT = 8;
const NAME_AT_V2 = 56;

export function isOnBtrfs(path: string): boolean {
  return statfsSync(path).type === BTRFS_SUPER_MAGIC;
}

/** Opens a directory, does something with it, closes it. */
function within(path: string, work: (fd: number) => number): number {
  const fd = native.openFollow(bytesOf(path), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return fd;
  const result = work(fd);
  native.close(fd);
  return result < 0 ? result : 0;
}

function named(path: string, at: number): Buffer {
  const argument = Buffer.alloc(ARGUMENTS_SIZE);
  argument.write(basename(path), at, "utf8");
  return argument;
}

/** Makes an empty one. */
export function createSubvolume(path: string): number {
  return within(dirname(path), (fd) => native.ioctl(fd, BTRFS_IOC_SUBVOL_CREATE_V2, named(path, NAME_AT_V2)));
}

/** Makes a copy of the subvolume `source`, which can be written whether that can or not. */
export function snapshotSubvolume(source: string, path: string): number {
  return within(source, (origin) => {
    const argument = named(path, NAME_AT_V2);
    argument.writeInt32LE(origin, 0);
    return within(dirname(path), (fd) => native.ioctl(fd, BTRFS_IOC_SNAP_CREATE_V2, argument));
  });
}

/** Whether nothing may change in it. */
export function sealSubvolume(path: string, sealed: boolean): number {
  const flags = Buffer.alloc(8);
  flags.writeUInt32LE(sealed ? BTRFS_SUBVOL_RDONLY : 0, 0);
  return within(path, (fd) => native.ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, flags));
}

/** Takes one away with all that is in it, sealed or not. ENOTEMPTY if there are subvolumes in it. */
function destroySubvolume(path: string): number {
  const opened = sealSubvolume(path, false);
  if (opened < 0) return opened;
  return within(dirname(path), (fd) => native.ioctl(fd, BTRFS_IOC_SNAP_DESTROY, named(path, NAME_AT)));
}

/**
 * Takes all subvolumes in a directory away, nested ones too: what a process made that had the right to. Otherwise they would have to be emptied file by
 * file, and sealed ones could not be. What cannot be looked into is left to whoever removes the directory.
 */
export function destroySubvolumesIn(directory: string): void {
  if (!isOnBtrfs(directory)) return;
  for (const entry of entriesOf(directory)) {
    if (!entry.isDirectory()) continue;
    const path = join(directory, entry.name);
    const isRoot = statSync(path, { throwIfNoEntry: false })?.ino === SUBVOLUME_ROOT;
    if (isRoot && destroySubvolume(path) === 0) continue;
    destroySubvolumesIn(path);
    if (isRoot) destroySubvolume(path);
  }
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}
