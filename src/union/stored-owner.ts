/**
 * Owner, mode and type kept in an extended attribute instead of the object itself (`xattr_permissions=`), as fuse-overlayfs and
 * containers/storage write them: `uid:gid:octal-mode`, and since some version `:type`. The object on disk then belongs to the
 * driver's user; a device, fifo or socket is an empty regular file. The ids are those on disk: id mappings come after.
 */
import { EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE } from "../errno.js";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
  S_ISUID,
  S_IXGRP,
  STATX_ALL,
  Stat,
} from "../layer/stat.js";
import { native } from "../native/index.js";

const SECURITY = "security.fuseoverlayfs.override_stat";
const CONTAINERS = "user.containers.override_stat";
const names = [SECURITY, CONTAINERS, "user.fuseoverlayfs.override_stat"];

/** Whether an attribute is one that says who owns an object. */
export function isStoredOwner(name: string): boolean {
  return names.includes(name);
}

/** What a value says. `type` is an S_IF* value, or 0 where it says none. */
export interface StoredOwner {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly type: number;
  readonly major: number;
  readonly minor: number;
}

const types: Record<string, number> = {
  file: S_IFREG,
  dir: S_IFDIR,
  symlink: S_IFLNK,
  pipe: S_IFIFO,
  socket: S_IFSOCK,
  block: S_IFBLK,
  char: S_IFCHR,
};
const typeNames = new Map(Object.entries(types).map(([name, type]) => [type, name]));
/** (uid_t)-1 means "no change" and is nobody's. */
const MAX_ID = 0xfffffffe;
const MAX_MAJOR = 0xfff;
const MAX_MINOR = 0xfffff;

/** Reads a value, or null if it is malformed. fuse-overlayfs writes the bits of the type into the mode; they do not count. */
export function parseStoredOwner(value: string): StoredOwner | null {
  const match =
    /^(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::(?:(file|dir|symlink|pipe|socket)|(block|char)[-:](\d{1,7})[-:](\d{1,7})))?\0?$/.exec(
      value,
    );
  if (match === null) return null;
  const [uid, gid] = [Number(match[1]), Number(match[2])];
  const [major, minor] = [Number(match[6] ?? 0), Number(match[7] ?? 0)];
  if (uid > MAX_ID || gid > MAX_ID || major > MAX_MAJOR || minor > MAX_MINOR) return null;
  const mode = Number.parseInt(match[3] as string, 8) & 0o7777;
  return { uid, gid, mode, type: types[match[4] ?? match[5] ?? ""] ?? 0, major, minor };
}

/** The value for what `stat` describes. */
export function formatStoredOwner(stat: Stat): string {
  const { type } = stat;
  const numbers = type === S_IFBLK || type === S_IFCHR ? `-${stat.rdevMajor}-${stat.rdevMinor}` : "";
  return `${stat.uid}:${stat.gid}:${(stat.mode & 0o7777).toString(8)}:${typeNames.get(type) ?? "file"}${numbers}`;
}

export const ACL_VERSION_SIZE = 4;
/** struct posix_acl_xattr_entry: u16 tag, u16 permissions, u32 id. */
export const ACL_ENTRY_SIZE = 8;
const ACL_USER_OBJ = 0x01;
const ACL_MASK = 0x10;
const ACL_OTHER = 0x20;
/** Where the mode has the permissions of an entry. An ACL that says more than the mode has a mask, which is the group's there. */
const placeInMode = new Map([
  [ACL_USER_OBJ, 6],
  [ACL_MASK, 3],
  [ACL_OTHER, 0],
]);

const list = Buffer.alloc(64 * 1024);
const value = Buffer.alloc(128);
const now = new Stat();

/** Permissions a driver that is not privileged needs on its own objects, whatever users see. */
function realMode(stat: Stat, mode: number): number {
  return (mode & 0o777) | (stat.isDirectory ? 0o700 : 0o600);
}

export class StoredOwners {
  /** Read in this order: what this mount writes must win. */
  private readonly readNames: readonly string[];
  private readonly written: string;
  /** What was read last cannot have a `user.` attribute: it has its own owner and mode. */
  private isReal = false;

  /** `kind`: 1 writes `security.`, 2 `user.containers.`. `complain` is told of malformed values. */
  constructor(
    private readonly kind: 1 | 2,
    private readonly complain: (value: string) => void,
  ) {
    this.written = kind === 1 ? SECURITY : CONTAINERS;
    this.readNames = [this.written, ...names.filter((name) => name !== this.written)];
  }

  /**
   * Puts what the object (fd, name) stores about itself over `stat`, which has what its layer says: 0 or -errno. A malformed
   * value counts as none. Costs a listxattr(2), and a getxattr(2) where there is something.
   */
  apply(fd: number, name: string, stat: Stat): number {
    const attribute = this.find(fd, name);
    if (attribute === null) return 0;
    if (typeof attribute === "number") return attribute;
    const length = native.getxattr(fd, name, attribute, value);
    if (length === -ENODATA) return 0;
    if (length < 0 && length !== -ERANGE) return length;
    const text = value.latin1Slice(0, Math.max(length, 0));
    const owner = parseStoredOwner(text);
    if (owner === null || !fits(owner, stat)) {
      this.complain(text);
      return 0;
    }
    stat.uid = owner.uid;
    stat.gid = owner.gid;
    if (stat.type === S_IFLNK) return 0;
    const type = owner.type === 0 ? stat.type : owner.type;
    stat.mode = type | owner.mode;
    if (type === S_IFBLK || type === S_IFCHR) stat.setRdev(owner.major, owner.minor);
    return 0;
  }

  /** The attribute that counts for (fd, name), null if there is none, or -errno. */
  private find(fd: number, name: string): string | null | number {
    const length = native.listxattr(fd, name, list);
    if (length === -EOPNOTSUPP) return null;
    if (length <= 0) return length < 0 ? length : null;
    const all = `\0${list.latin1Slice(0, length)}`;
    return this.readNames.find((one) => all.includes(`\0${one}\0`)) ?? null;
  }

  /** The attributes of (fd, name) as it stores them, into `stat`: 0 or -errno. */
  read(fd: number, name: string, stat: Stat): number {
    const r = native.statx(fd, name, STATX_ALL, stat.bytes);
    this.isReal = this.linksAreReal && !stat.isRegular && !stat.isDirectory;
    return r < 0 ? r : this.apply(fd, name, stat);
  }

  /** Stores owner, mode and type from `stat` in (fd, name): 0 or -errno (EPERM: a symbolic link has no `user.` attributes). */
  write(fd: number, name: string, stat: Stat): number {
    return native.setxattr(fd, name, this.written, Buffer.from(formatStoredOwner(stat), "latin1"), 0);
  }

  /** Whether the owner of a symbolic link must be its real one. */
  get linksAreReal(): boolean {
    return this.kind === 2;
  }

  /** chown(2) for (fd, name); -1 keeps an id. Set-id bits and capabilities go as the kernel lets them go. 0 or -errno. */
  chown(fd: number, name: string, uid: number, gid: number): number {
    const r = this.read(fd, name, now);
    if (r < 0) return r;
    if (this.isReal) return native.chown(fd, name, uid, gid);
    if (uid !== -1) now.uid = uid;
    if (gid !== -1) now.gid = gid;
    if (!now.isDirectory) now.mode = withoutSetId(now.mode);
    const stored = this.write(fd, name, now);
    if (stored < 0 || now.isDirectory) return stored;
    const dropped = native.removexattr(fd, name, "security.capability");
    const gone = dropped === -ENODATA || dropped === -EOPNOTSUPP || dropped === -EPERM;
    return gone ? 0 : dropped;
  }

  /** chmod(2) for (fd, name). The real mode follows, so that the kernel keeps an ACL of the object in step. 0 or -errno. */
  chmod(fd: number, name: string, mode: number): number {
    const r = this.read(fd, name, now);
    if (r < 0) return r;
    if (now.type === S_IFLNK) return -EOPNOTSUPP;
    if (this.isReal) return native.chmod(fd, name, mode & 0o7777);
    const real = native.chmod(fd, name, realMode(now, mode));
    if (real < 0) return real;
    now.mode = now.type | (mode & 0o7777);
    return this.write(fd, name, now);
  }

  /** An access ACL was set: the kernel has changed the real permissions, and the stored ones follow. 0 or -errno. */
  followAcl(fd: number, name: string): number {
    let r = native.statx(fd, name, STATX_ALL, now.bytes);
    if (r < 0) return r;
    const permissions = now.mode & 0o777;
    r = this.apply(fd, name, now);
    if (r < 0) return r;
    return this.chmod(fd, name, (now.mode & 0o7000) | permissions);
  }

  /**
   * Puts the stored mode into an access ACL read from (fd, name): the real entry of the owner has what the driver needs, and after a
   * crash amid chmod(2) the real mask is not that of the mode. 0 or -errno.
   */
  showAcl(fd: number, name: string, acl: Uint8Array): number {
    const r = this.read(fd, name, now);
    if (r < 0) return r;
    const view = new DataView(acl.buffer, acl.byteOffset, acl.byteLength);
    for (let at = ACL_VERSION_SIZE; at + ACL_ENTRY_SIZE <= acl.byteLength; at += ACL_ENTRY_SIZE) {
      const place = placeInMode.get(view.getUint16(at, true));
      if (place !== undefined) view.setUint16(at + 2, (now.mode >> place) & 7, true);
    }
    return 0;
  }

  /** Gives a copy in the upper what `stat` (stored owner applied) says about its source: 0 or -errno. */
  adopt(fd: number, name: string, stat: Stat): number {
    if (stat.type === S_IFLNK) {
      if (!this.linksAreReal) return this.write(fd, name, stat);
      const r = native.chown(fd, name, stat.uid, stat.gid);
      return r === -EPERM || r === -EINVAL ? 0 : r;
    }
    const r = native.chmod(fd, name, realMode(stat, stat.mode));
    return r < 0 ? r : this.write(fd, name, stat);
  }

  /** Makes sure that the root of the upper says how its objects are to be read; other programs look there. */
  markRoot(fd: number): number {
    const found = this.find(fd, "");
    if (typeof found === "number") return found;
    if (found === this.written) return 0;
    const r = this.read(fd, "", now);
    return r < 0 ? r : this.write(fd, "", now);
  }
}

/** Whether an object of a layer can be what it says it is: only a regular file may stand for something else. */
function fits(owner: StoredOwner, stat: Stat): boolean {
  if (owner.type === 0 || owner.type === stat.type) return true;
  return stat.isRegular && owner.type !== S_IFDIR && owner.type !== S_IFLNK;
}

/** A mode without the bits that chown(2) and a write take away (chown(2), inode(7)). */
export function withoutSetId(mode: number): number {
  return mode & ~(S_ISUID | ((mode & S_IXGRP) !== 0 ? S_ISGID : 0));
}
