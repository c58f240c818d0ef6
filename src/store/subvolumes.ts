/** Subvolumes of btrfs (btrfs-ioctl(2)): trees that are copied by one system call. Results are 0 or -errno. */
import { statfsSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type EntrySink, readEntries } from "../layer/listing.js";
import { openBelow } from "../layer/long-path.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, O_DIRECTORY, O_PATH, O_RDONLY } from "../native/constants.js";
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

/** The arguments that name a new subvolume. */
function named(path: string): Buffer {
  const argument = Buffer.alloc(ARGUMENTS_SIZE);
  argument.write(basename(path), NAME_AT_V2, "utf8");
  return argument;
}

/** Makes an empty one. */
export function createSubvolume(path: string): number {
  return within(dirname(path), (fd) => native.ioctl(fd, BTRFS_IOC_SUBVOL_CREATE_V2, named(path)));
}

/** Makes a copy of the subvolume `source`, which can be written whether that can or not. */
export function snapshotSubvolume(source: string, path: string): number {
  return within(source, (origin) => {
    const argument = named(path);
    argument.writeInt32LE(origin, 0);
    return within(dirname(path), (fd) => native.ioctl(fd, BTRFS_IOC_SNAP_CREATE_V2, argument));
  });
}

/** From now on nothing may change in it. */
export function sealSubvolume(path: string): number {
  return within(path, (fd) => setSealed(fd, true));
}

function setSealed(subvolume: number, sealed: boolean): number {
  const flags = Buffer.alloc(8);
  flags.writeUInt32LE(sealed ? BTRFS_SUBVOL_RDONLY : 0, 0);
  return native.ioctl(subvolume, BTRFS_IOC_SUBVOL_SETFLAGS, flags);
}

/** Takes the subvolume `name` of a directory away with all that is in it, sealed or not. ENOTEMPTY if there are subvolumes in it. */
function destroySubvolume(directory: number, name: string): number {
  const fd = native.open(directory, name, O_RDONLY | O_DIRECTORY, 0);
  const opened = fd < 0 ? fd : setSealed(fd, false);
  if (fd >= 0) native.close(fd);
  if (opened < 0) return opened;
  const argument = Buffer.alloc(ARGUMENTS_SIZE);
  argument.write(name, NAME_AT, "latin1");
  return native.ioctl(directory, BTRFS_IOC_SNAP_DESTROY, argument);
}

/**
 * Takes all subvolumes in a directory away, nested ones too: what a process made that had the right to. Otherwise they would have to be emptied file by
 * file, and sealed ones could not be. What cannot be looked into is left to whoever removes the directory.
 */
export function destroySubvolumesIn(directory: string): void {
  if (!isOnBtrfs(directory)) return;
  const root = native.openFollow(bytesOf(directory), O_PATH | O_DIRECTORY);
  if (root < 0) return;
  // Those that could not be taken away at once, since others are in them: each before those.
  const nested: string[] = [];
  const pending = [""];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const at = path;
    eachDirectory(root, at, (fd, name) => {
      const isRoot = isSubvolume(fd, name);
      if (isRoot && destroySubvolume(fd, name) === 0) return;
      const full = at === "" ? name : `${at}/${name}`;
      if (isRoot) nested.push(full);
      pending.push(full);
    });
  }
  for (const path of nested.reverse()) {
    const slash = path.lastIndexOf("/");
    const parent = openBelow(root, path.slice(0, Math.max(slash, 0)), O_RDONLY | O_DIRECTORY);
    if (parent < 0) continue;
    destroySubvolume(parent, path.slice(slash + 1));
    native.close(parent);
  }
  native.close(root);
}

function isSubvolume(directory: number, name: string): boolean {
  const stat = new Stat();
  const found = native.statx(directory, name, STATX_ALL, stat.bytes);
  return found === 0 && stat.isDirectory && stat.inoHigh === 0 && stat.inoLow === SUBVOLUME_ROOT;
}

/** Tells the directories in one; nothing of one that cannot be read. */
function eachDirectory(root: number, path: string, tell: (fd: number, name: string) => void): void {
  const fd = openBelow(root, path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return;
  const names: string[] = [];
  const sink: EntrySink = { entry: (name, type) => void (type === DT_DIR && names.push(name)) };
  if (readEntries(fd, sink) >= 0) for (const name of names) tell(fd, name);
  native.close(fd);
}
