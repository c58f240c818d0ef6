import { EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOTDIR, ENXIO, EPERM, errnoName, ignore } from "../errno.js";
import { MNT_DETACH, O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDWR, O_WRONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { topMountOn } from "../native/mountinfo.js";
import { shown } from "../text.js";
import { MountError } from "../union/mount-error.js";
import { fileSystemType, type Log, type MountConfig } from "./config.js";

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_SYNCHRONOUS = 16;
const MS_DIRSYNC = 128;
const MS_NOSYMFOLLOW = 256;
const MS_NOATIME = 1024;
const MS_NODIRATIME = 2048;

const device = "/dev/fuse";
/** Not /sys/class/bdi: the links there lead up to /sys itself, and into a mount over it. */
const readAheads = "/sys/devices/virtual/bdi";
/** Kilobytes the kernel reads ahead; it takes at most 128 from INIT, and this much suits the largest READ. */
const readAhead = Buffer.from("1024");

function openFailure(error: number): string {
  switch (-error) {
    case ENOENT:
      return `${device} does not exist: load the module (modprobe fuse), or give it to the container (--device ${device})`;
    case ENODEV:
    case ENXIO:
      return `${device}: this kernel has no FUSE: load the module (modprobe fuse) or use a kernel with CONFIG_FUSE_FS`;
    case EPERM:
    case EACCES:
      return `${device}: no permission: run as root, or give it to the container (--device ${device})`;
    default:
      return `${device} cannot be opened: ${errnoName(error)}`;
  }
}

function mountFailure(error: number, mountpoint: string): string {
  const path = shown(mountpoint);
  switch (-error) {
    case EPERM:
    case EACCES:
      return `${path}: no permission to mount: run as root, or in a namespace of your own (unshare -Urm)`;
    case ENODEV:
      return `${path}: this kernel has no FUSE: load the module (modprobe fuse) or use a kernel with CONFIG_FUSE_FS`;
    case ENOENT:
      return `${path}: the mountpoint does not exist: create it (mkdir)`;
    case ENOTDIR:
      return `${path}: the mountpoint is no directory: name a directory`;
    case EINVAL:
      return `${path}: mount(2) says EINVAL: ${device} must be opened in the user namespace that mounts`;
    default:
      return `${path} cannot be mounted: ${errnoName(error)}`;
  }
}

/** The MS_* bits of a mount. */
export function mountFlagBits(config: Pick<MountConfig, "readOnly" | "upper" | "mountFlags">): number {
  const flags = config.mountFlags;
  let bits = 0;
  if (config.readOnly || config.upper === undefined) bits |= MS_RDONLY;
  if (!flags.suid) bits |= MS_NOSUID;
  if (!flags.dev) bits |= MS_NODEV;
  if (!flags.exec) bits |= MS_NOEXEC;
  if (flags.sync) bits |= MS_SYNCHRONOUS;
  if (flags.dirsync) bits |= MS_DIRSYNC;
  if (!flags.symfollow) bits |= MS_NOSYMFOLLOW;
  if (flags.noatime) bits |= MS_NOATIME;
  if (flags.nodiratime) bits |= MS_NODIRATIME;
  return bits;
}

/** FUSE's option string of mount(2); `rootmode` is octal: a directory. */
export function mountData(config: MountConfig, channel: number, uid: number, gid: number): string {
  const options = [`fd=${channel}`, "rootmode=40000", `user_id=${uid}`, `group_id=${gid}`];
  if (config.allowOther) options.push("allow_other");
  if (config.defaultPermissions) options.push("default_permissions");
  return options.join(",");
}

/** A mounted channel: the descriptor requests come from and the device number of the mount. */
export interface Mounted {
  readonly channel: number;
  readonly major: number;
  readonly minor: number;
  /** The directory of the kernel's read-ahead settings, opened before the mount, which may lie over it; -errno where there is none. */
  readonly settings: number;
}

/**
 * Opens /dev/fuse and mounts it. INIT is then the first request to read. Throws MountError with the remedy, leaving
 * nothing mounted.
 */
export function mount(config: MountConfig, log: Log): Mounted {
  const channel = native.openFollow(device, O_RDWR | O_NONBLOCK);
  if (channel < 0) throw new MountError(openFailure(channel), device);
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const data = mountData(config, channel, uid, gid);
  const settings = native.openFollow(readAheads, O_PATH | O_DIRECTORY);
  const result = native.mount(config.source, config.mountpoint, fileSystemType, mountFlagBits(config), data);
  if (result < 0) {
    ignore(native.close(channel), "nothing was mounted on it");
    if (settings >= 0) ignore(native.close(settings), "an O_PATH descriptor");
    throw new MountError(mountFailure(result, config.mountpoint), config.mountpoint);
  }
  const entry = topMountOn(config.mountpoint);
  if (!config.mountFlags.symfollow && entry?.options.split(",").includes("nosymfollow") !== true) {
    log("warn", "nosymfollow has no effect: this kernel follows symbolic links on all mounts (Linux 5.10 would not)");
  }
  return { channel, major: entry?.major ?? 0, minor: entry?.minor ?? 0, settings };
}

/** Lets the kernel read further ahead than the 128 KiB it starts with. Only root may; elsewhere it stays as it is. */
export function raiseReadAhead(mounted: Mounted, log: Log): void {
  const { settings, major, minor } = mounted;
  const fd = settings < 0 ? settings : native.open(settings, `${major}:${minor}/read_ahead_kb`, O_WRONLY, 0);
  const r = fd < 0 ? fd : native.pwrite(fd, readAhead, 0, readAhead.length, 0);
  if (fd >= 0) ignore(native.close(fd), "nothing is buffered");
  if (settings >= 0) ignore(native.close(settings), "an O_PATH descriptor");
  if (r < 0) log("debug", "read-ahead stays at the kernel's value", { error: errnoName(r) });
}

/**
 * Unmounts: umount2(2), or with MNT_DETACH where the mount is in use. Calls back with 0, 1 (detached: open files keep it
 * going) or -errno; -EINVAL if the mount is not (or no longer) what its path leads to. The caller must go on serving: a thread
 * unmounts, since that may have to wait for requests. No process does: it would have to read its program, which may lie in the mount.
 */
export function unmount(mountpoint: string, mounted: Mounted, done: (result: number) => void): void {
  const top = topMountOn(mountpoint);
  if (top?.major !== mounted.major || top.minor !== mounted.minor) {
    queueMicrotask(() => done(-EINVAL));
    return;
  }
  const start = (flags: number, ended: (result: number) => void): void => {
    const started = native.umountAside(mountpoint, flags, ended);
    if (started < 0) queueMicrotask(() => done(started));
  };
  const detach = (result: number): void => {
    if (result === -EBUSY) start(MNT_DETACH, (detached) => done(detached < 0 ? detached : 1));
    else done(result);
  };
  start(0, detach);
}

/**
 * Takes away a mount that nobody serves yet or any more, at once: nothing may be asked, so it is only detached and the
 * connection closed.
 */
export function abandon(mountpoint: string, mounted: Mounted): void {
  const top = topMountOn(mountpoint);
  // Closing the last descriptor ends the connection, so that umount(2) has nothing left to ask.
  ignore(native.close(mounted.channel), "the connection is given up");
  if (top?.major === mounted.major && top.minor === mounted.minor) {
    ignore(native.umount(mountpoint, MNT_DETACH), "the mount may have gone meanwhile");
  }
}
