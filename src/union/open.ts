/**
 * Puts a union together from what the user named. Everything is checked before anything is created; each complaint names
 * the path and the remedy.
 */
import { EEXIST, EOPNOTSUPP, EPERM, errnoName, ignore } from "../errno.js";
import { type Layer, sealLower } from "../layer/layer.js";
import { type MarkNames, trustedNames, userNames } from "../layer/mark-names.js";
import { isNoAttribute } from "../layer/marks.js";
import { ProjectQuota } from "../layer/project-quota.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_FDCWD, AT_REMOVEDIR, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { adoptAll } from "./adopt.js";
import { HardlinkIndex } from "./hardlink-index.js";
import { refuseOverlayfs } from "./kernel-overlays.js";
import { enforce, type Limit, type Limited, limitUpper } from "./limits.js";
import { lock } from "./locks.js";
import type { Verity } from "./metacopy-mark.js";
import { MountError } from "./mount-error.js";
import { upperHandle } from "./origin.js";
import type { OwnershipOptions } from "./ownership.js";
import { dirname, shown } from "./paths.js";
import { checkPlaces, defaultWork, openLayer, openNearest, whyNotCreated } from "./places.js";
import { checkIndex, checkWork, clearWork, prepareWork } from "./prepare-work.js";
import { Quota } from "./quota.js";
import { namesToRead, openReadOnlyUpper, type ReadOnlyUpper, whyReadOnly } from "./read-only-upper.js";
import { tellsWritten } from "./tells-written.js";
import { type Log, Union } from "./union.js";
import { Unsynced } from "./unsynced.js";
import { readUnsyncedLog, UnsyncedLog } from "./unsynced-log.js";
import { probeNames, probeWhiteoutDevices, type WhiteoutFormat, WorkDirectory } from "./workdir.js";

export const MAX_LAYERS = 500;
/** STATX_MNT_ID beside the basic attributes. */
const STATX_WITH_MOUNT = STATX_ALL | 0x1000;
export interface UnionOptions {
  /** Absolute paths as bytes in latin1 strings, the topmost first. */
  readonly lowers: readonly string[];
  readonly upper?: string | undefined;
  /** Default: a hidden sibling of the upper. */
  readonly work?: string | undefined;
  readonly mountpoint: string;
  /** The mount is read-only: the upper need not be writable. */
  readonly readOnly?: boolean | undefined;
  readonly volatile: boolean;
  readonly ownership?: OwnershipOptions | undefined;
  /** Layers that show nothing and only hold the data of metacopies. */
  readonly dataLowers?: readonly string[];
  /** Copy-up leaves data below until it changes; default: yes. */
  readonly metacopy?: boolean;
  /** The most bytes that the upper may hold. */
  readonly size?: number | undefined;
  /** The driver may be the one to keep that; default: yes. What the kernel writes by itself, it cannot count. */
  readonly counts?: boolean | undefined;
  /** New copies of lower files with several links are kept in the index; default: yes. Those in it are used anyway. */
  readonly index?: boolean | undefined;
  /** Redirects are written and followed (the default), only followed, or neither. */
  readonly redirectDir?: "on" | "follow" | "nofollow" | undefined;
  /** Whether the fs-verity digests in metacopies count; default: `off`. */
  readonly verity?: Verity | undefined;
  /** Marks are `user.` attributes, as with overlayfs's option of this name; without it, where no others can be written. */
  readonly userxattr?: boolean | undefined;
  /** What hides a lower name; `auto`, the default: a device if the upper takes one. */
  readonly whiteout?: "auto" | WhiteoutFormat | undefined;
  /** What the upper and the work directory do not permit if they are made; default: the process's own, which is then cleared. */
  readonly umask?: number;
  readonly log: Log;
  /** Largest file, in bytes, that is copied up without a job; for a union without a session, everything. */
  readonly inlineCopyLimit?: number;
  /** Copies that must wait for the disk are made without a job, too; default: yes. */
  readonly waitsInline?: boolean;
  /** Copies of lower files are published before they are synced, where that can be; default: no. Somebody must settle them then. */
  readonly lazy?: boolean | undefined;
  /** This boot of the machine; default: the kernel's boot_id. */
  readonly boot?: string;
}

interface Writable {
  readonly upper: Layer;
  readonly work: WorkDirectory;
  readonly index: HardlinkIndex;
  /** The descriptor whose lock says that upper and work are in use. */
  readonly locks: readonly number[];
  readonly workPath: string;
  readonly workRoot: number;
  /** Copies that an earlier driver did not sync, as `readUnsyncedLog` returns them. */
  readonly unsynced: readonly Buffer[] | number | null;
  readonly limit: Limit;
}

function limitedBy({ size, counts, log }: UnionOptions, upperPath: string, upper: number, work: number): Limited {
  return { size, counts: counts !== false, upperPath, upper, work, log };
}

/** Opens the union; throws MountError for anything the user must change. */
export function openUnion(options: UnionOptions): Union {
  if (options.lowers.length === 0) throw new MountError("no lower layer is given: name at least one with --lower");
  const paths = [...options.lowers, ...(options.dataLowers ?? [])];
  if (paths.length > MAX_LAYERS) {
    throw new MountError(`${paths.length} lower layers are too many: at most ${MAX_LAYERS} can be merged`);
  }
  const limit = native.raiseFileLimit();
  if (limit < 0) throw new MountError(`cannot raise the limit of open files: ${errnoName(limit)}`);
  // The kernel applied the umask of each caller where it counts.
  const umask = options.umask ?? native.umask(0);
  const roots = paths.map((path) => openLayer(path, "lower layer"));
  checkPlaces(options, roots, paths);
  const user = options.userxattr === true || inUserNamespace();
  const boot = options.boot ?? bootId();
  const obstacle = options.upper === undefined ? undefined : whyReadOnly(options.upper, options);
  const writable =
    options.upper === undefined || obstacle !== undefined
      ? null
      : openWritable(options, options.upper, limit, umask, boot);
  const readable = obstacle === undefined ? null : openUnwritable(options, options.upper as string, obstacle, user);
  const layers: (Layer | null)[] = [(writable ?? readable)?.upper ?? null];
  for (const [i, root] of roots.entries()) {
    const path = paths[i] as string;
    const layer = sealLower(i + 1, path, root);
    if (typeof layer === "number")
      throw new MountError(`cannot use lower layer ${shown(path)}: ${errnoName(layer)}`, path);
    layers.push(layer);
  }
  const descriptorLimit = Math.max(32, Math.min(16_384, Math.floor((limit - layers.length) * 0.75) - 64));
  const limited = writable?.limit ?? null;
  const log = writable === null ? null : new UnsyncedLog(writable.work.fd, boot);
  const unsynced = new Unsynced(boot, log, writable?.locks[0] ?? -1, Math.min(unsyncedMost, descriptorLimit >> 3));
  const union = new Union({
    layers: layers.slice(0, options.lowers.length + 1),
    dataLayers: layers.slice(options.lowers.length + 1).filter((layer) => layer !== null),
    metacopy: options.metacopy ?? writable?.work.names.isUser !== true,
    followsUser: writable?.work.names.isUser ?? user,
    followsRedirects: options.redirectDir !== "nofollow",
    writesRedirects: (options.redirectDir ?? "on") === "on",
    verity: options.verity ?? "off",
    work: writable?.work ?? null,
    index: (writable ?? readable)?.index ?? null,
    volatile: options.volatile,
    ownership: options.ownership,
    log: options.log,
    // Jobs, directory listings and temporaries need some beside the cache and the layers.
    descriptorLimit,
    inlineCopyLimit: options.inlineCopyLimit ?? Number.MAX_SAFE_INTEGER,
    waitsInline: options.waitsInline ?? true,
    lazy: options.lazy === true && boot !== "" && writable !== null && mayBeLazy(options, writable),
    unsynced,
    quota: limited instanceof Quota ? limited : null,
    project: limited instanceof ProjectQuota ? limited : null,
    closed: () => closeUnion(layers, writable, readable, options, log?.isOpen === true),
  });
  if (writable !== null && writable.unsynced !== null) adoptAll(union, writable.unsynced);
  if (writable !== null && writable.limit !== null) {
    const { upper, workRoot, limit, index } = writable;
    enforce(limit, limitedBy(options, upper.path, upper.root, workRoot), index.directory);
  }
  return union;
}

/** Most copies that are not synced yet; each holds a descriptor. */
const unsyncedMost = 2048;

/** Whether a copy may be a metacopy until it is synced: whoever reads the upper must know metacopies, and none is to have a digest. */
function mayBeLazy(options: UnionOptions, { work, locks }: Writable): boolean {
  if (options.volatile || options.metacopy === false || (options.verity ?? "off") !== "off") return false;
  return !work.names.isUser && work.format !== "aufs" && tellsWritten(locks[0] ?? -1);
}

/** The kernel's name for this boot of the machine; "" if it tells none. */
function bootId(): string {
  const text = Buffer.alloc(64);
  const fd = native.openFollow("/proc/sys/kernel/random/boot_id", O_RDONLY);
  if (fd < 0) return "";
  const length = native.pread(fd, text, 0, text.length, 0);
  ignore(native.close(fd), "only read");
  return /^[0-9a-f-]{36}/.exec(text.latin1Slice(0, Math.max(length, 0)))?.[0] ?? "";
}

function openUnwritable(options: UnionOptions, upper: string, obstacle: string, user: boolean): ReadOnlyUpper {
  if (options.readOnly !== true) {
    throw new MountError(`${obstacle}: make it writable, or mount with -o ro, or leave out --upper`, upper);
  }
  options.log("warn", `${obstacle}: it can only be read`);
  return openReadOnlyUpper(upper, options, namesToRead(user));
}

/** Whether this process has its privileges in a user namespace only, and so none that the owner of the layers has not. */
function inUserNamespace(): boolean {
  const map = Buffer.alloc(256);
  const fd = native.openFollow("/proc/self/uid_map", O_RDONLY);
  if (fd < 0) return false;
  const length = native.pread(fd, map, 0, map.length, 0);
  ignore(native.close(fd), "only read");
  return length > 0 && !/^\s*0\s+0\s+4294967295\s*$/.test(map.latin1Slice(0, length));
}

const stat = new Stat();

function statOf(fd: number, path: string): { device: string; mount: number } {
  const r = native.statx(fd, "", STATX_WITH_MOUNT, stat.bytes);
  if (r < 0) throw new MountError(`cannot read the attributes of ${shown(path)}: ${errnoName(r)}`, path);
  return { device: `${stat.devMajor}:${stat.devMinor}`, mount: stat.mountId };
}

function openWritable(options: UnionOptions, upperPath: string, limit: number, umask: number, boot: string): Writable {
  const workPath = options.work ?? defaultWork(upperPath);
  const upper = openNearest(upperPath);
  const work = openNearest(workPath);
  const created: string[] = [];
  const opened = [upper.fd, work.fd];
  try {
    checkFileSystem(upperPath, upper.fd, workPath, work.fd);
    if (upper.exists) refuseOverlayfs(upper.fd, upperPath, "upper layer");
    if (work.exists) {
      refuseOverlayfs(work.fd, workPath, "work directory");
      checkWork(work.fd, workPath);
      checkIndex(work.fd, workPath, upper.fd, upper.exists);
    }
    const upperFd = upper.exists ? upper.fd : create(upperPath, "upper layer", umask, created);
    const workFd = work.exists ? work.fd : create(workPath, "work directory", umask, created);
    opened.push(upperFd, workFd);
    const locks = [lock(upperFd, upperPath, "upper layer"), lock(workFd, workPath, "work directory")];
    opened.push(...locks);
    const sizeLimit = limitUpper(limitedBy(options, upperPath, upperFd, workFd));
    const unsynced = readUnsyncedLog(workFd, boot);
    const inner = prepareWork(workFd, workPath, options.volatile, unsynced !== null);
    opened.push(inner);
    if (!work.exists) created.push(`${workPath}/index`, `${workPath}/work`);
    const devices = probeWhiteoutDevices(inner);
    if (devices < 0) refuseWriting(devices, workPath, "");
    const format = chooseFormat(options, devices === 1, upperPath);
    const names = chooseNames(options, inner, upperPath);
    const index = new HardlinkIndex(workFd, names, options.index !== false, upperHandle(upperFd));
    const marked = index.mark();
    if (marked < 0) refuseWriting(marked, workPath, "/index");
    for (const parent of [upper, work]) if (!parent.exists) ignore(native.close(parent.fd), "an O_PATH descriptor");
    options.log("debug", "the upper is writable", { limit, workPath: shown(workPath) });
    return {
      upper: { index: 0, path: upperPath, root: upperFd, sealed: false },
      work: new WorkDirectory(inner, devices === 1, format, names),
      index,
      locks,
      workPath,
      workRoot: workFd,
      unsynced,
      limit: sizeLimit,
    };
  } catch (error) {
    for (const fd of new Set(opened)) if (fd >= 0) ignore(native.close(fd), "the mount has failed already");
    for (const path of created.reverse())
      ignore(native.unlink(AT_FDCWD, path, AT_REMOVEDIR), "the mount has failed already");
    throw error;
  }
}

function checkFileSystem(upperPath: string, upperFd: number, workPath: string, workFd: number): void {
  const upper = statOf(upperFd, upperPath);
  const work = statOf(workFd, workPath);
  if (upper.device !== work.device || upper.mount !== work.mount) {
    throw new MountError(
      `upper layer ${shown(upperPath)} and work directory ${shown(workPath)} are on different file systems: put both on one`,
      workPath,
    );
  }
  const probe = native.getxattr(upperFd, "", trustedNames.opaque, new Uint8Array(0));
  if (probe === -EOPNOTSUPP) {
    throw new MountError(
      `the file system of upper layer ${shown(upperPath)} has no extended attributes: use one that has (ext4, xfs, btrfs, tmpfs)`,
      upperPath,
    );
  }
  if (probe < 0 && !isNoAttribute(probe)) {
    throw new MountError(`cannot use upper layer ${shown(upperPath)}: ${errnoName(probe)}`, upperPath);
  }
}

/** What whiteouts are: as asked, or devices, or where those are refused `.wh.` files. */
function chooseFormat(options: UnionOptions, devices: boolean, upperPath: string): WhiteoutFormat {
  if (options.whiteout === "aufs" || options.whiteout === "xattr") return options.whiteout;
  if (devices) return "overlay";
  if (options.whiteout === "overlay") {
    throw new MountError(
      `the upper layer ${shown(upperPath)} takes no whiteout devices from this process: use --whiteout aufs or xattr`,
      upperPath,
    );
  }
  options.log("info", "whiteouts are .wh. files: this process may not make devices here");
  return "aufs";
}

/** What marks are called: `trusted.` attributes, or `user.` ones where those are asked for or the others refused. */
function chooseNames(options: UnionOptions, inner: number, upperPath: string): MarkNames {
  const trusted = options.userxattr === true ? -EPERM : probeNames(inner, trustedNames);
  if (trusted === 0) return trustedNames;
  const user = trusted === -EPERM || trusted === -EOPNOTSUPP ? probeNames(inner, userNames) : trusted;
  if (user < 0) {
    throw new MountError(
      `cannot write extended attributes in the upper layer ${shown(upperPath)}: ${errnoName(user)}: use a file system that has them`,
      upperPath,
    );
  }
  if (options.userxattr !== true) {
    options.log("info", "marks are user.overlay. attributes: this process may not write trusted. ones here");
  }
  return userNames;
}

function refuseWriting(result: number, work: string, inside: string): never {
  const path = `${work}${inside}`;
  const why = whyNotCreated(result, path, "work directory");
  throw new MountError(`cannot write to work directory ${shown(path)}: ${why}`, path);
}

function create(path: string, what: string, umask: number, created: string[]): number {
  const made = native.mkdirAs(AT_FDCWD, path, 0o755 & ~umask, 0, 0);
  if (made < 0 && made !== -EEXIST) {
    throw new MountError(`cannot create ${what} ${shown(path)}: ${whyNotCreated(made, dirname(path), what)}`, path);
  }
  if (made === 0) created.push(path);
  return openLayer(path, what);
}

/** A clean end: everything on disk, the work directory empty, the locks released. */
function closeUnion(
  layers: readonly (Layer | null)[],
  writable: Writable | null,
  readable: ReadOnlyUpper | null,
  options: UnionOptions,
  keepsLog: boolean,
): void {
  if (writable !== null) {
    const [upperLock] = writable.locks;
    const synced = options.volatile || upperLock === undefined ? 0 : native.syncfs(upperLock);
    if (synced < 0) options.log("error", "the upper could not be synced", { error: errnoName(synced) });
    const cleared = clearWork(writable.workRoot, keepsLog);
    if (cleared < 0) options.log("warn", "the work directory could not be cleared", { error: errnoName(cleared) });
    ignore(native.close(writable.work.fd), "an O_PATH descriptor");
  }
  const opened = writable ?? readable;
  opened?.index?.close();
  if (opened !== null && opened.workRoot >= 0) ignore(native.close(opened.workRoot), "an O_PATH descriptor");
  for (const fd of opened?.locks ?? []) ignore(native.close(fd), "a directory, only locked");
  for (const layer of layers) if (layer !== null) ignore(native.close(layer.root), "an O_PATH descriptor");
}
