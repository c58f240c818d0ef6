/**
 * `overlay.origin`: which lower object an upper one is a copy of, as a file handle, so that the copy shows the same inode
 * number in every mount. The value comes from a layer and may say anything: a handle gives a number (or says that a file
 * found by its path is the right one), and never a descriptor that anything is read or written through.
 */
import { EMFILE, ENFILE, ENOMEM, EOPNOTSUPP, EOVERFLOW, EPERM, ignore, isAbsent } from "../errno.js";
import type { Layer } from "../layer/layer.js";
import { isNoAttribute, readOrigin } from "../layer/marks.js";
import { S_IFMT, STATX_ALL, Stat } from "../layer/stat.js";
import {
  BTRFS_IOC_FS_INFO,
  DT_DIR,
  DT_REG,
  FS_IOC_GETFSUUID,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
} from "../native/constants.js";
import { native } from "../native/index.js";
import { partFd } from "./locate.js";
import type { Union } from "./union.js";

/** struct ovl_fb: u8 version, magic, length, flags, type, uuid[16], fid[]. */
export const ORIGIN_HEADER = 21;
const ORIGIN_MAGIC = 0xfb;
/** f_type of FUSE: its handles are numbers that its server hands out, often other ones in the next mount. */
const FUSE_SUPER_MAGIC = 0x65735546;
/** Types of btrfs's handles, which tell its subvolumes (each a device of its own, all of one UUID) apart. */
const BTRFS_FIRST = 0x4d;
const BTRFS_LAST = 0x4f;
/** struct file_handle: u32 bytes, i32 type, then the handle (MAX_HANDLE_SZ). */
const HANDLE_HEADER = 8;
const HANDLE_MAX = 128;

/** What an origin is worth. */
const ORIGIN_GOOD = 1;
/** Of a later version, another byte order, or an object of the upper: nothing to go by, and no mistake. */
const ORIGIN_FOREIGN = 0;
const ORIGIN_CORRUPT = -1;

/** A file system that holds lower layers. */
interface LowerFileSystem {
  readonly device: string;
  readonly uuid: Buffer;
  /** The root of one of its layers, an O_PATH descriptor. */
  readonly root: number;
  /** A directory of it that handles are opened by, -1 until then. */
  directory: number;
}

const raw = Buffer.alloc(HANDLE_HEADER + HANDLE_MAX);
const value = Buffer.alloc(256);
const layerStat = new Stat();
const statfs = new Uint8Array(120);
const statfsType = new Uint32Array(statfs.buffer, 0, 1);

function deviceOf(stat: Stat): string {
  return `${stat.devMajor}:${stat.devMinor}`;
}

/** Whether a copy of `lower` can have the type DT_*: its own, and where owners are stored, a regular file stands for one of any. */
function isOfType(u: Union, lower: Stat, type: number): boolean {
  const own = (lower.mode & S_IFMT) >> 12;
  return own === type || (type === DT_REG && own !== DT_DIR && (u.ownership?.stored ?? null) !== null);
}

export class Origins {
  /** By device; null where handles do not outlast the mount. */
  private readonly uuids = new Map<string, Buffer | null>();
  private fileSystems: LowerFileSystem[] | null = null;
  private warned = false;
  private encoded = Buffer.alloc(0);
  /** Attributes of the lower object that `read` found, as its layer has them. */
  readonly lower = new Stat();

  /** `layers`: those with inodes of their own, the upper (or null) first. */
  constructor(private readonly layers: readonly (Layer | null)[]) {}

  /**
   * The handle of the lower object (fd, name), which `stat` describes, in the form overlayfs stores; null where its file
   * system has none that would lead to this object and no other in every mount, or -errno. It is true until the next call. One system
   * call after the first.
   */
  encode(fd: number, name: string, stat: Stat): Buffer | null | number {
    const uuid = this.uuid(fd, stat);
    if (uuid === null) return null;
    const length = native.nameToHandle(fd, name, raw);
    if (length === -EOPNOTSUPP || length === -EOVERFLOW) return null;
    if (length < 0) return length;
    if (this.isShared(uuid, raw.readInt32LE(4), deviceOf(stat))) return null;
    const size = ORIGIN_HEADER + length - HANDLE_HEADER;
    if (this.encoded.length !== size) this.encoded = Buffer.alloc(size);
    return store(this.encoded, length, uuid);
  }

  /** Whether another lower file system has the same UUID (squashfs has none): then a handle could be of an object of either. */
  private isShared(uuid: Buffer, handleType: number, device: string): boolean {
    if (handleType >= BTRFS_FIRST && handleType <= BTRFS_LAST) return false;
    this.fileSystems ??= this.findFileSystems();
    return this.fileSystems.some((one) => one.device !== device && one.uuid.equals(uuid));
  }

  /**
   * The UUID of the file system of the directory `fd`, in which `stat` describes an object; zeros where it has none, null
   * where its handles do not last.
   */
  private uuid(fd: number, stat: Stat): Buffer | null {
    const device = deviceOf(stat);
    const known = this.uuids.get(device);
    if (known !== undefined) return known;
    const uuid = readUuid(fd);
    this.uuids.set(device, uuid);
    return uuid;
  }

  /**
   * Finds the lower object that the upper object (fd, name) is a copy of, for its attributes in `lower`: 1, 0 if it has no
   * origin, or one that leads nowhere, or -errno. `parent` and `base` are its place in the union, `type` its DT_*.
   */
  read(u: Union, fd: number, name: string, parent: number, base: string, type: number): number {
    const length = readOrigin(fd, name, value);
    if (length < 0) return isNoAttribute(length) ? 0 : length;
    const worth = judgeOrigin(value, length);
    if (worth === ORIGIN_CORRUPT && !this.warned) {
      this.warned = true;
      u.warn("a corrupt overlay.origin is ignored, and so will be others", parent, base, 0);
    }
    if (worth !== ORIGIN_GOOD) return 0;
    const found = this.open(u, value.subarray(0, length));
    const r = found === -EPERM ? this.sameName(u, parent, base, value.subarray(0, length)) : found;
    return r === 1 && !isOfType(u, this.lower, type) ? 0 : r;
  }

  /** Whether the origin of the upper object (fd, name) leads to an object that is another than `found`: 1, 0 or -errno. */
  contradicts(u: Union, fd: number, name: string, found: Stat): number {
    const length = readOrigin(fd, name, value);
    if (length < 0) return isNoAttribute(length) ? 0 : length;
    if (judgeOrigin(value, length) !== ORIGIN_GOOD) return 0;
    const r = this.open(u, value.subarray(0, length));
    if (r !== 1) return r === -EPERM ? 0 : r;
    const { lower } = this;
    const same =
      lower.inoLow === found.inoLow && lower.inoHigh === found.inoHigh && deviceOf(lower) === deviceOf(found);
    return same ? 0 : 1;
  }

  /** Opens the handle of an origin for its attributes: 1, 0 where it leads nowhere, -EPERM without the capability. */
  private open(u: Union, origin: Buffer): number {
    const fileSystem = this.fileSystemOf(origin);
    if (fileSystem === null) return 0;
    if (fileSystem.directory < 0) fileSystem.directory = native.reopen(fileSystem.root, O_RDONLY | O_DIRECTORY);
    if (fileSystem.directory < 0) return fileSystem.directory;
    const handle = raw.subarray(0, HANDLE_HEADER + origin.length - ORIGIN_HEADER);
    handle.writeUInt32LE(origin.length - ORIGIN_HEADER, 0);
    handle.writeInt32LE(origin[4] as number, 4);
    origin.copy(handle, HANDLE_HEADER, ORIGIN_HEADER);
    let fd = native.openByHandle(fileSystem.directory, handle, O_PATH);
    if (fd < 0 && u.descriptors.makeRoom(fd)) fd = native.openByHandle(fileSystem.directory, handle, O_PATH);
    // Anything but these says that the handle is of an object that is gone, or was never one.
    if (fd < 0) return fd === -EPERM || fd === -EMFILE || fd === -ENFILE || fd === -ENOMEM ? fd : 0;
    const r = native.statx(fd, "", STATX_ALL, this.lower.bytes);
    ignore(native.close(fd), "an O_PATH descriptor");
    return r < 0 ? r : deviceOf(this.lower) === fileSystem.device ? 1 : 0;
  }

  /** Without the capability to open handles: the object of the same name in the lower parts, if its handle is this one. */
  private sameName(u: Union, parent: number, base: string, origin: Buffer): number {
    for (const part of u.table.directory(parent)?.parts ?? []) {
      if (part.layer === 0) continue;
      const fd = partFd(u, parent, part);
      if (fd < 0) return fd;
      const r = native.statx(fd, base, STATX_ALL, this.lower.bytes);
      if (r < 0 && !isAbsent(r)) return r;
      if (r < 0) continue;
      const own = this.encode(fd, base, this.lower);
      return own instanceof Buffer && own.equals(origin) && this.fileSystemOf(origin) !== null ? 1 : 0;
    }
    return 0;
  }

  /** The one file system of lower layers that an origin names; null if there is none, or several say to be it. */
  private fileSystemOf(origin: Buffer): LowerFileSystem | null {
    this.fileSystems ??= this.findFileSystems();
    let found: LowerFileSystem | null = null;
    for (const one of this.fileSystems) {
      if (one.uuid.compare(origin, 5, ORIGIN_HEADER) !== 0) continue;
      if (found !== null) return null;
      found = one;
    }
    return found;
  }

  private findFileSystems(): LowerFileSystem[] {
    const found: LowerFileSystem[] = [];
    for (const layer of this.layers) {
      if (layer === null || layer.index === 0) continue;
      if (native.statx(layer.root, "", STATX_ALL, layerStat.bytes) < 0) continue;
      const device = deviceOf(layerStat);
      if (found.some((one) => one.device === device)) continue;
      const uuid = this.uuid(layer.root, layerStat);
      if (uuid !== null) found.push({ device, uuid, root: layer.root, directory: -1 });
    }
    return found;
  }

  close(): void {
    for (const { directory } of this.fileSystems ?? []) {
      if (directory >= 0) ignore(native.close(directory), "a directory, only read");
    }
    this.fileSystems = null;
  }
}

/** Makes `origin` the struct ovl_fb of the handle in `raw`, whose length with its header is given. */
function store(origin: Buffer, length: number, uuid: Buffer): Buffer {
  origin[1] = ORIGIN_MAGIC;
  origin[2] = origin.length;
  origin[4] = raw.readInt32LE(4);
  uuid.copy(origin, 5);
  raw.copy(origin, ORIGIN_HEADER, HANDLE_HEADER, length);
  return origin;
}

/** The UUID of the file system of the directory `fd`; zeros where it has none, null where its handles do not last. */
function readUuid(fd: number): Buffer | null {
  if (native.statfs(fd, statfs) === 0 && statfsType[0] === FUSE_SUPER_MAGIC) return null;
  if (native.nameToHandle(fd, "", raw) === -EOPNOTSUPP) return null;
  const directory = native.reopen(fd, O_DIRECTORY);
  if (directory < 0) return Buffer.alloc(16);
  const answer = Buffer.alloc(17);
  const info = Buffer.alloc(1024);
  let uuid = Buffer.alloc(16);
  if (native.ioctl(directory, FS_IOC_GETFSUUID, answer) === 0 && answer[0] === 16) uuid = answer.subarray(1);
  else if (native.ioctl(directory, BTRFS_IOC_FS_INFO, info) === 0) uuid = info.subarray(16, 32);
  ignore(native.close(directory), "only ioctls were made through it");
  return uuid;
}

/** OVL_FH_FLAG_PATH_UPPER, in the byte of the flags. */
const FLAG_UPPER = 4;

/**
 * The handle of the root of an upper, as overlayfs stores it with the index that belongs to it; null where there is none that lasts.
 */
export function upperHandle(root: number): Buffer | null {
  const uuid = readUuid(root);
  const length = uuid === null ? -1 : native.nameToHandle(root, "", raw);
  if (uuid === null || length < 0) return null;
  const handle = store(Buffer.alloc(ORIGIN_HEADER + length - HANDLE_HEADER), length, uuid);
  handle[3] = FLAG_UPPER;
  return handle;
}

/** What the handle that is stored with an index says of the upper whose handle is `own`. */
export const OWNER_SAME = 0;
export const OWNER_OTHER = 1;
/** It was stored on another file system, and so came here as a copy, like what belongs to it. */
export const OWNER_COPIED = 2;

/** Whether a handle that is stored names its file system. */
export function hasUuid(handle: Buffer): boolean {
  return handle.subarray(5, ORIGIN_HEADER).some((byte) => byte !== 0);
}

/** OWNER_*. */
export function compareOwner(stored: Buffer, own: Buffer): number {
  if (stored.compare(own, 5, ORIGIN_HEADER, 5, ORIGIN_HEADER) !== 0) return OWNER_COPIED;
  const same = stored[4] === own[4] && stored.subarray(ORIGIN_HEADER).equals(own.subarray(ORIGIN_HEADER));
  return same ? OWNER_SAME : OWNER_OTHER;
}

/** Whether the first `length` bytes are an origin: ORIGIN_*. */
function judgeOrigin(origin: Buffer, length: number): number {
  const stated = origin[2] as number;
  if (length <= ORIGIN_HEADER || origin[1] !== ORIGIN_MAGIC || stated !== length) return ORIGIN_CORRUPT;
  if (length - ORIGIN_HEADER > HANDLE_MAX) return ORIGIN_CORRUPT;
  return origin[0] === 0 && origin[3] === 0 ? ORIGIN_GOOD : ORIGIN_FOREIGN;
}
