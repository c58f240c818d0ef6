/**
 * The work directory: everything is built in WORK/work and published by one rename, so a crash leaves nothing half-made
 * where users look. What a crash leaves here is removed at the next mount and never served.
 */
import { EEXIST, EINVAL, EISDIR, EMLINK, ENOENT, ENOTDIR, EPERM, ignore, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import type { MarkNames } from "../layer/mark-names.js";
import { OPAQUE_MARKER } from "../layer/marks.js";
import { S_IFCHR, S_IFREG } from "../layer/stat.js";
import { AT_REMOVEDIR, O_DIRECTORY, O_PATH, RENAME_NOREPLACE } from "../native/constants.js";
import { native } from "../native/index.js";

/** Name of the one whiteout that all others are links of. */
const SHARED_WHITEOUT = "whiteout";
const YES = Uint8Array.of(0x79);
const XATTR_WHITEOUTS = Uint8Array.of(0x78);
const nothing = new Uint8Array(0);

/** What hides a lower name: a device 0:0, a `.wh.` file, or an empty file with an attribute. */
export type WhiteoutFormat = "overlay" | "aufs" | "xattr";

export class WorkDirectory {
  private sequence = 0;
  private hasSharedWhiteout = false;
  /** Whether a file can be made without a name (O_TMPFILE), as far as is known. */
  namesLater = true;

  /**
   * `fd`: O_PATH descriptor of WORK/work. `devices`: whether character devices 0:0 can be made. `format`: that of whiteouts; `.wh.`
   * files are written by the caller, wherever those can say it. `names`: what marks are called in this upper.
   */
  constructor(
    readonly fd: number,
    readonly devices: boolean,
    readonly format: WhiteoutFormat,
    readonly names: MarkNames,
  ) {}

  /** A name that nothing in the work directory has. */
  temporary(): string {
    return `#${(this.sequence++).toString(16)}`;
  }

  /** Puts a whiteout under a fresh temporary name: 0 with `name` set, or -errno. */
  whiteout(name: string): number {
    return this.whiteoutAt(this.fd, name);
  }

  /** Makes a whiteout named `name` in the directory `dirfd`, which must not have that name: 0 or -errno. */
  whiteoutAt(dirfd: number, name: string): number {
    if (!this.hasSharedWhiteout) {
      const made = this.makeWhiteout(SHARED_WHITEOUT);
      if (made < 0) return made;
      this.hasSharedWhiteout = true;
    }
    const linked = native.link(this.fd, SHARED_WHITEOUT, dirfd, name);
    if (linked !== -EMLINK && linked !== -EPERM && linked !== -ENOENT) return linked;
    // The file system's limit of links is reached (or it has none): start a new shared one the next time.
    if (linked !== -EPERM) {
      this.hasSharedWhiteout = false;
      ignore(native.unlink(this.fd, SHARED_WHITEOUT, 0), "if it cannot go, mknod says EEXIST and it is used again");
    }
    return this.format === "xattr" ? this.place(dirfd, name) : makeDevice(dirfd, name);
  }

  /** Makes a whiteout in the work directory, or completes one that a failure left: 0 or -errno. */
  private makeWhiteout(name: string): number {
    const byXattr = this.format === "xattr";
    const made = byXattr ? native.mknodAs(this.fd, name, S_IFREG | 0o444, 0, 0, 0, 0) : makeDevice(this.fd, name);
    if (made < 0 && made !== -EEXIST) return made;
    return byXattr ? native.setxattr(this.fd, name, this.names.whiteout, nothing, 0) : 0;
  }

  /** Makes a whiteout that is no link, and renames it to (dirfd, name): 0 or -errno. */
  private place(dirfd: number, name: string): number {
    const temporary = this.temporary();
    let r = this.makeWhiteout(temporary);
    if (r === 0) r = native.rename(this.fd, temporary, dirfd, name, RENAME_NOREPLACE);
    if (r < 0) this.discard(temporary);
    return r;
  }

  /** Replaces the non-directory (dirfd, name) by a device 0:0, whatever the format: 0 or -errno. */
  putDevice(dirfd: number, name: string): number {
    const temporary = this.temporary();
    let r = makeDevice(this.fd, temporary);
    if (r === 0) r = native.rename(this.fd, temporary, dirfd, name, 0);
    if (r < 0) this.discard(temporary);
    return r;
  }

  /** Says that empty files of the directory `dirfd`, which must not be opaque, may be whiteouts by attribute: 0 or -errno. */
  setXattrWhiteouts(dirfd: number): number {
    return native.setxattr(dirfd, "", this.names.opaque, XATTR_WHITEOUTS, 0);
  }

  /** Removes a temporary that was not published; a failure leaves litter that the next mount removes. */
  discard(name: string): void {
    ignore(removeTree(this.fd, name), "the next mount clears the work directory");
  }

  /** Marks a directory that hides what lies below it, for readers of `.wh.` files too where those are written: 0 or -errno. */
  setOpaque(dirfd: number, name: string): number {
    const r = this.setOpaqueQuietly(dirfd, name);
    if (r < 0 || this.format !== "aufs") return r;
    const marker = name === "" ? OPAQUE_MARKER : `${name}/${OPAQUE_MARKER}`;
    const made = native.mknodAs(dirfd, marker, S_IFREG | 0o444, 0, 0, 0, 0);
    // A user's own file of that name says the same to those who do not know the attribute.
    return made === -EEXIST ? 0 : made;
  }

  /** The same by the attribute alone, so that the directory stays empty. */
  setOpaqueQuietly(dirfd: number, name: string): number {
    return native.setxattr(dirfd, name, this.names.opaque, YES, 0);
  }

  /** Marks a user's own object that looks like a whiteout: 0 or -errno. */
  setPlain(dirfd: number, name: string): number {
    return native.setxattr(dirfd, name, this.names.plain, YES, 0);
  }
}

function makeDevice(dirfd: number, name: string): number {
  return native.mknodAs(dirfd, name, S_IFCHR, 0, 0, 0, 0);
}

/**
 * Removes the object (dirfd, name), a directory with everything in it; a name that is not there is no failure.
 * Nothing is followed: neither symbolic links nor mounts (EBUSY, EXDEV).
 */
export function removeTree(dirfd: number, name: string): number {
  const r = native.unlink(dirfd, name, 0);
  if (r === 0 || isAbsent(r)) return 0;
  // unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX.
  if (r !== -EISDIR && r !== -EPERM) return r;
  const empty = native.unlink(dirfd, name, AT_REMOVEDIR);
  if (empty === 0 || isAbsent(empty)) return 0;
  if (empty === -ENOTDIR) return r;
  const emptied = emptyDirectory(dirfd, name);
  return emptied < 0 ? emptied : native.unlink(dirfd, name, AT_REMOVEDIR);
}

/** Removes everything inside the directory (dirfd, name), except the entry `keep` if given: 0 or -errno. */
export function emptyDirectory(dirfd: number, name: string, keep?: string): number {
  const fd = native.open(dirfd, name, O_PATH | O_DIRECTORY, 0);
  if (fd < 0) return fd;
  const names: string[] = [];
  let result = readListing(fd, { entry: (entry) => void names.push(entry) });
  for (const entry of names) {
    if (result < 0) break;
    if (entry !== keep) result = removeTree(fd, entry);
  }
  ignore(native.close(fd), "an O_PATH descriptor");
  return Math.min(result, 0);
}

/** Whether marks of these names can be written, tried out in the work directory: 0 or -errno (EPERM, EOPNOTSUPP: no). */
export function probeNames(workFd: number, names: MarkNames): number {
  const made = native.mkdirAs(workFd, "#probe", 0o700, 0, 0);
  if (made < 0) return made;
  const set = native.setxattr(workFd, "#probe", names.opaque, YES, 0);
  const removed = native.unlink(workFd, "#probe", AT_REMOVEDIR);
  return Math.min(set, removed);
}

/** Whether the file system lets this process make whiteout devices: tried out in the work directory. 1, 0 or -errno. */
export function probeWhiteoutDevices(workFd: number): number {
  const made = native.mknodAs(workFd, "#probe", S_IFCHR, 0, 0, 0, 0);
  if (made === -EPERM || made === -EINVAL) return 0;
  if (made < 0) return made;
  const removed = native.unlink(workFd, "#probe", 0);
  return removed < 0 ? removed : 1;
}
