/** Uppers that nobody can write to: refused, unless the mount is to be read-only too. */
import { errnoName, ignore, isAbsent } from "../errno.js";
import { type Layer, sealLower } from "../layer/layer.js";
import { type MarkNames, trustedNames, userNames } from "../layer/mark-names.js";
import { FS_IOC_GETFLAGS, LOCK_SH, O_DIRECTORY, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { HardlinkIndex } from "./hardlink-index.js";
import { lock } from "./locks.js";
import { MountError } from "./mount-error.js";
import { shown } from "./paths.js";
import { defaultWork, openLayer, openNearest, type Places } from "./places.js";
import { checkIndex } from "./prepare-work.js";

/** FS_IMMUTABLE_FL and FS_APPEND_FL. */
const PROTECTED = 0x30;
/** Where f_flags is in struct statfs, and ST_RDONLY in it, which the mount's own flag sets as well. */
const F_FLAGS = 80;
const ST_RDONLY = 1;

const buffer = new Uint8Array(120);

/** Why nothing can be made in a directory, whatever its owner and mode; undefined if nothing speaks against it. */
function obstacle(fd: number): string | undefined {
  if (native.statfs(fd, buffer) === 0 && ((buffer[F_FLAGS] as number) & ST_RDONLY) !== 0) {
    return "is on a read-only file system or mount";
  }
  const readable = native.reopen(fd, O_RDONLY | O_DIRECTORY);
  if (readable < 0) return undefined;
  buffer.fill(0, 0, 8);
  const flags = native.ioctl(readable, FS_IOC_GETFLAGS, buffer);
  ignore(native.close(readable), "only an ioctl was made through it");
  return flags >= 0 && ((buffer[0] as number) & PROTECTED) !== 0 ? "is immutable or append-only (chattr)" : undefined;
}

/** The same of the upper and of its work directory, or of where they would be made, as the end of a sentence. */
export function whyReadOnly(upper: string, options: Places): string | undefined {
  const work = options.work ?? defaultWork(upper);
  for (const [path, what] of [
    [upper, "upper layer"],
    [work, "work directory"],
  ] as const) {
    const { fd, exists } = openNearest(path);
    const why = obstacle(fd);
    ignore(native.close(fd), "an O_PATH descriptor");
    if (why !== undefined) return `the ${exists ? "" : `directory of the `}${what} ${shown(path)} ${why}`;
  }
  return undefined;
}

/** What a mount needs of an upper that it only reads. */
export interface ReadOnlyUpper {
  readonly upper: Layer;
  /** What the index of an earlier mount says about hard links; null if there is no work directory. */
  readonly index: HardlinkIndex | null;
  /** Shared: others may read too, but nobody may write meanwhile. */
  readonly locks: readonly number[];
  readonly workRoot: number;
}

/** Opens an upper for reading: nothing is made, changed or cleared. Throws MountError. */
export function openReadOnlyUpper(path: string, options: Places, names: MarkNames): ReadOnlyUpper {
  const fd = openLayer(path, "upper layer");
  const locks = [lock(fd, path, "upper layer", LOCK_SH)];
  const upper = sealLower(0, path, fd);
  if (typeof upper === "number")
    throw new MountError(`cannot use upper layer ${shown(path)}: ${errnoName(upper)}`, path);
  const work = options.work ?? defaultWork(path);
  const workRoot = native.openFollow(work, O_PATH | O_DIRECTORY);
  if (workRoot < 0 && !isAbsent(workRoot)) {
    throw new MountError(`cannot use work directory ${shown(work)}: ${errnoName(workRoot)}`, work);
  }
  if (workRoot < 0) return { upper, index: null, locks, workRoot };
  checkIndex(workRoot, work, upper.root, true, true);
  return { upper, index: new HardlinkIndex(workRoot, names, false, null), locks, workRoot };
}

/** What marks are called in an upper that cannot tell by being written to. */
export function namesToRead(user: boolean): MarkNames {
  return user ? userNames : trustedNames;
}
