/** The work directory when the mount starts: whether it is one, and what a crash left in it. */
import { EEXIST, ENOTDIR, errnoName, ignore, isAbsent } from "../errno.js";
import { handDownNothing } from "../layer/hand-down.js";
import { readListing } from "../layer/listing.js";
import { isNoAttribute, readUpper } from "../layer/marks.js";
import { Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { MountError } from "./mount-error.js";
import { compareOwner, hasUuid, OWNER_OTHER, upperHandle } from "./origin.js";
import { shown } from "./paths.js";
import { whyNotCreated } from "./places.js";
import { emptyDirectory } from "./workdir.js";

const stat = new Stat();

/**
 * What a work directory holds: names of ours and the kernel's, in it and in its two directories. fuse-overlayfs numbers the files that
 * it builds, and directories while they are empty. Anything else says that the path is a mistake.
 */
const known: readonly [string, RegExp][] = [
  ["", /^(work|index)$/],
  ["work", /^(#.*|whiteout|incompat)$/],
  ["index", /^(#.*|[0-9a-f]{2,})$/],
];

/**
 * Refuses a directory that is somebody's own (the upper itself, if the two were swapped): its `work` would be emptied, and what
 * is in its `index` be shown. Throws MountError.
 */
export function checkWork(workFd: number, workPath: string): void {
  for (const [inside, names] of known) {
    const fd = native.open(workFd, inside === "" ? "." : inside, O_PATH | O_DIRECTORY, 0);
    if (isAbsent(fd)) continue;
    let foreign: string | undefined;
    const note = (name: string): void => {
      if (!names.test(name) && !isNumberedLeftover(fd, inside, name)) foreign ??= name;
    };
    const r = fd < 0 ? fd : readListing(fd, { entry: note });
    if (fd >= 0) ignore(native.close(fd), "an O_PATH descriptor");
    if (r < 0) {
      const path = inside === "" ? workPath : `${workPath}/${inside}`;
      throw new MountError(`cannot read ${shown(path)}, a part of the work directory: ${errnoName(r)}`, path);
    }
    if (foreign === undefined) continue;
    const what = shown(inside === "" ? foreign : `${inside}/${foreign}`);
    throw new MountError(
      `work directory ${shown(workPath)} is not empty, it holds ${what}: name an empty or a new directory`,
      workPath,
    );
  }
}

function isNumberedLeftover(fd: number, inside: string, name: string): boolean {
  if (inside !== "work" || !/^[0-9]+$/.test(name)) return false;
  const directory = native.open(fd, name, O_PATH | O_DIRECTORY, 0);
  if (directory < 0) return directory === -ENOTDIR;
  let isEmpty = true;
  const entry = (): void => {
    isEmpty = false;
  };
  const r = readListing(directory, { entry });
  ignore(native.close(directory), "an O_PATH descriptor");
  return r >= 0 && isEmpty;
}

/** Empties WORK/work, which says afterwards no more than that copies are not synced, if `keepsLog` (unsynced-log.ts). 0 or -errno. */
export function clearWork(workFd: number, keepsLog: boolean): number {
  if (!keepsLog) return emptyDirectory(workFd, "work");
  const r = emptyDirectory(workFd, "work", "incompat");
  return r < 0 ? r : emptyDirectory(workFd, "work/incompat", "unsynced");
}

/** WORK/work, emptied of what a crash left behind: an O_PATH descriptor. Throws MountError. */
export function prepareWork(workFd: number, workPath: string, isVolatile: boolean, keepsLog: boolean): number {
  const marker = native.statx(workFd, "work/incompat/volatile", 1, stat.bytes);
  if (marker === 0) {
    throw new MountError(
      `a volatile mount of work directory ${shown(workPath)} was not unmounted cleanly, data may be lost: check the upper, ` +
        `then remove ${shown(workPath)}/work/incompat`,
      workPath,
    );
  }
  const fail = (r: number): never => {
    const why = whyNotCreated(r, workPath, "work directory");
    throw new MountError(`cannot prepare work directory ${shown(workPath)}: ${why}`, workPath);
  };
  let r = native.mkdirAs(workFd, "work", 0o700, 0, 0);
  if (r === -EEXIST) r = clearWork(workFd, keepsLog);
  if (r < 0) fail(r);
  if (isVolatile) {
    r = native.mkdirAs(workFd, "work/incompat", 0o700, 0, 0);
    if (r === 0 || r === -EEXIST) r = native.mkdirAs(workFd, "work/incompat/volatile", 0o700, 0, 0);
    if (r < 0) fail(r);
  }
  const fd = native.open(workFd, "work", O_PATH | O_DIRECTORY, 0);
  if (fd < 0) fail(fd);
  // Copies and new objects are built in it.
  r = handDownNothing(fd, "");
  if (r < 0) fail(r);
  return fd;
}

const owner = Buffer.alloc(256);

/**
 * Refuses an index that belongs to another upper of this file system: its entries would show in this one, whose own they are
 * not. Kernel overlayfs does so too. `upper` is the directory, or if it does not exist yet, its parent. Throws MountError.
 */
export function checkIndex(workFd: number, workPath: string, upper: number, exists: boolean, readOnly = false): void {
  const own = upperHandle(upper);
  const length = own === null ? 0 : readUpper(workFd, "index", owner);
  if (own === null || isNoAttribute(length) || isAbsent(length)) return;
  if (length < 0) {
    const index = `${workPath}/index`;
    throw new MountError(`cannot read whose index of hard links ${shown(index)} is: ${errnoName(length)}`, index);
  }
  const stored = owner.subarray(0, length);
  if (exists && compareOwner(stored, own) !== OWNER_OTHER) return;
  // Of a file system without a UUID: a copy elsewhere (an image, say) looks like another upper, and harms nothing that is only read.
  if (readOnly && !hasUuid(stored)) return;
  const path = shown(workPath);
  throw new MountError(
    `work directory ${path} has the index of hard links of another upper: use another; or, if the upper is new, remove ${path}/index; ` +
      `or, if both are copies, setfattr -x trusted.overlay.upper ${path}/index`,
    workPath,
  );
}
