/**
 * The marks that union file systems leave in layers, as overlayfs, fuse-overlayfs, AUFS and OCI layers write them.
 * This file only reads; the union writes (union/whiteout.ts, union/workdir.ts).
 */
import { EINVAL, ENODATA, EOPNOTSUPP, ERANGE, isAbsent } from "../errno.js";
import { native } from "../native/index.js";
import { trustedNames, userNames } from "./mark-names.js";
import { STATX_ALL, Stat } from "./stat.js";

/** The opaque attributes every reader of foreign layers must understand, the likeliest first. */
const opaqueNames = [trustedNames.opaque, userNames.opaque, "user.fuseoverlayfs.opaque"];
export const redirectNames = [trustedNames.redirect, userNames.redirect];
const whiteoutNames = [trustedNames.whiteout, userNames.whiteout];

export const WHITEOUT_PREFIX = ".wh.";
/** AUFS's own files: `.wh..wh.opq`'s family, never shown. */
export const AUFS_PREFIX = ".wh..wh.";
export const OPAQUE_MARKER = ".wh..wh..opq";

const value = Buffer.alloc(4096);
const probe = new Stat();
const nothing = new Uint8Array(0);

/** Whether -errno says that an object has no such attribute (or can have none). */
export function isNoAttribute(result: number): boolean {
  return result === -ENODATA || result === -EOPNOTSUPP;
}

/** What a directory's marks say; one object, reused. */
export interface DirectoryMarks {
  /** Nothing of the layers below shows through. */
  opaque: boolean;
  /** `overlay.opaque` = `x`: its zero-size files may be whiteouts by attribute, also where the marker file makes it opaque. */
  xattrWhiteouts: boolean;
  /** An absolute path from the overlay's root, the bare name of a sibling, or null. */
  redirect: string | null;
  /** The redirect is a `user.` attribute, which whoever owns the object may set. */
  byUser: boolean;
}

/** Whether the directory (dirfd, name) holds the marker file of AUFS and fuse-overlayfs, not a user's own: 1, 0 or -errno. */
export function hasOpaqueMarker(dirfd: number, name: string): number {
  const marker = name === "" ? OPAQUE_MARKER : `${name}/${OPAQUE_MARKER}`;
  const r = native.statx(dirfd, marker, STATX_ALL, probe.bytes);
  if (r < 0) return isAbsent(r) ? 0 : r;
  // A whiteout of this name hides one that a lower layer has.
  if (probe.isWhiteoutDevice) return 0;
  const kind = classifyMarkedName(dirfd, marker, probe);
  return kind < 0 ? kind : kind === NAME_HIDDEN ? 1 : 0;
}

/**
 * Reads the marks of the directory (dirfd, name) into `marks`: 0, -EINVAL for a malformed redirect (a path that leads
 * nowhere sane is never followed), or another -errno. `isLowest`: nothing lies below, so only the kind of whiteouts counts.
 * One listxattr(2) spares the reading of attributes where there are none.
 */
export function readMarks(dirfd: number, name: string, isLowest: boolean, marks: DirectoryMarks): number {
  const marker = isLowest ? 0 : hasOpaqueMarker(dirfd, name);
  return marker < 0 ? marker : readMarksBeside(marker === 1, dirfd, name, isLowest, marks);
}

/**
 * The same for a directory whose name nothing below has: the marker file matters only beside a redirect, and is not looked for
 * without one.
 */
export function readMarksAlone(dirfd: number, name: string, marks: DirectoryMarks): number {
  const r = readMarksBeside(false, dirfd, name, false, marks);
  return r === 0 && marks.redirect === null ? 0 : readMarks(dirfd, name, false, marks);
}

/** The same where it is known whether the directory has the marker file. */
export function readMarksBeside(
  marker: boolean,
  dirfd: number,
  name: string,
  isLowest: boolean,
  marks: DirectoryMarks,
): number {
  marks.opaque = marker;
  marks.xattrWhiteouts = false;
  marks.redirect = null;
  marks.byUser = false;
  const any = native.listxattr(dirfd, name, nothing);
  if (any <= 0) return isNoAttribute(any) ? 0 : any;
  for (const attribute of opaqueNames) {
    const length = native.getxattr(dirfd, name, attribute, value);
    if (length === 1 && value[0] === 0x79 /* y */) marks.opaque = true;
    if (length === 1 && value[0] === 0x78 /* x */) marks.xattrWhiteouts = true;
    if (length < 0 && !isNoAttribute(length) && length !== -ERANGE) return length;
  }
  return isLowest || marks.opaque ? 0 : readRedirect(dirfd, name, marks);
}

/** Reads where the layers below know an object into `marks.redirect`: 0, -EINVAL for a malformed one, or another -errno. */
export function readRedirect(dirfd: number, name: string, marks: DirectoryMarks): number {
  marks.redirect = null;
  for (const attribute of redirectNames) {
    const length = native.getxattr(dirfd, name, attribute, value);
    if (isNoAttribute(length)) continue;
    if (length < 0) return length === -ERANGE ? -EINVAL : length;
    const path = value.latin1Slice(0, length);
    if (!isSaneRedirect(path)) return -EINVAL;
    marks.redirect = path;
    marks.byUser = attribute === userNames.redirect;
    return 0;
  }
  return 0;
}

function isSaneRedirect(path: string): boolean {
  if (path.includes("\0")) return false;
  const components = path.startsWith("/") ? path.slice(1).split("/") : [path];
  return components.every(
    (one) => one !== "" && one !== "." && one !== ".." && one.length <= 255 && !one.includes("/"),
  );
}

/** Whether a zero-size regular file of an `opaque=x` directory is a whiteout by attribute: 1, 0 or -errno. */
export function readXattrWhiteout(dirfd: number, name: string): number {
  for (const attribute of whiteoutNames) {
    const length = native.getxattr(dirfd, name, attribute, nothing);
    if (length >= 0) return 1;
    if (!isNoAttribute(length)) return length;
  }
  return 0;
}

/** Reads an attribute that has one of several names: its length, -ENODATA, or another -errno. */
function readFirst(dirfd: number, name: string, attributes: readonly string[], into: Uint8Array): number {
  let length = -ENODATA;
  for (const attribute of attributes) {
    length = native.getxattr(dirfd, name, attribute, into);
    if (!isNoAttribute(length)) return length;
  }
  return length;
}

const impureNames = [trustedNames.impure, userNames.impure];
const originNames = [trustedNames.origin, userNames.origin];
const upperNames = [trustedNames.upper, userNames.upper];
const protattrNames = [trustedNames.protattr, userNames.protattr];
const nlinkNames = [trustedNames.nlink, userNames.nlink];

/** Reads the origin of an upper object, as overlayfs stores it, into `into`: its length or -errno (`isNoAttribute`: none). */
export function readOrigin(dirfd: number, name: string, into: Uint8Array): number {
  return readFirst(dirfd, name, originNames, into);
}

/** Reads the count of links of an entry of the index into `into`: its length or -errno (`isNoAttribute`: none). */
export function readNlink(dirfd: number, name: string, into: Uint8Array): number {
  return readFirst(dirfd, name, nlinkNames, into);
}

/** Reads the handle of the upper that an index belongs to into `into`: its length or -errno (`isNoAttribute`: none). */
export function readUpper(dirfd: number, name: string, into: Uint8Array): number {
  return readFirst(dirfd, name, upperNames, into);
}

/** Reads the letters of what chattr(1) forbids into `into`: their number or -errno (`isNoAttribute`: none). */
export function readProtattr(dirfd: number, name: string, into: Uint8Array): number {
  return readFirst(dirfd, name, protattrNames, into);
}

/** What `readObjectMarks` found. */
export const HAS_ORIGIN = 1;
export const HAS_METACOPY = 2;
/** The data of a metacopy was being completed. */
export const HAS_PENDING = 4;
export const HAS_PROTATTR = 8;
/** Not one extended attribute, a mark or anything else; then nothing else is said. */
export const HAS_NONE = 16;

/** Attributes that say that a file has no data of its own. */
export const metacopyNames = [trustedNames.metacopy, userNames.metacopy];

const objectMarks = new Map([
  [trustedNames.origin, HAS_ORIGIN],
  [userNames.origin, HAS_ORIGIN],
  [trustedNames.metacopy, HAS_METACOPY],
  [userNames.metacopy, HAS_METACOPY],
  [trustedNames.pending, HAS_PENDING],
  [userNames.pending, HAS_PENDING],
  [trustedNames.protattr, HAS_PROTATTR],
  [userNames.protattr, HAS_PROTATTR],
]);
const list = Buffer.alloc(64 * 1024);

/** Which marks the object (dirfd, name) carries, HAS_* together, or -errno. One listxattr(2). */
export function readObjectMarks(dirfd: number, name: string): number {
  const length = native.listxattr(dirfd, name, list);
  if (length <= 0) return length === 0 || isNoAttribute(length) ? HAS_NONE : length;
  let found = 0;
  for (const attribute of list.latin1Slice(0, length).split("\0")) found |= objectMarks.get(attribute) ?? 0;
  return found;
}

/** Whether the upper directory (dirfd, name) may hold objects that are copies: 1, 0 or -errno. */
export function readImpure(dirfd: number, name: string): number {
  const length = readFirst(dirfd, name, impureNames, value);
  if (length < 0) return isNoAttribute(length) ? 0 : length;
  return length === 1 && value[0] === 0x79 /* y */ ? 1 : 0;
}

/** The attribute that says what a metacopy was before its data was copied into it. */
export const pendingNames = [trustedNames.pending, userNames.pending];

/** Reads it into `into`: its length or -errno (`isNoAttribute`: none). */
export function readPending(dirfd: number, name: string, into: Uint8Array): number {
  return readFirst(dirfd, name, pendingNames, into);
}

const plainNames = [trustedNames.plain, userNames.plain];

/**
 * Whether the object carries our `plain` attribute: 1, 0 or -errno. It is what it looks like, not a mark: a user's object
 * whose name starts with `.wh.`, or a user's character device 0:0, which would otherwise read as whiteouts.
 */
export function readPlain(dirfd: number, name: string): number {
  for (const attribute of plainNames) {
    const length = native.getxattr(dirfd, name, attribute, nothing);
    if (length >= 0) return 1;
    if (!isNoAttribute(length)) return length;
  }
  return 0;
}

/** Whether a name of AUFS's own, or a bare `.wh.`, which is never shown unless the object is plain, whatever it is. */
function isMetadataName(name: string): boolean {
  return name.startsWith(AUFS_PREFIX) || name === WHITEOUT_PREFIX;
}

/** Whether a user's object of this name must say that it is plain; of the others only an empty file is taken for a mark. */
export function looksLikeMark(name: string, isRegular: boolean): boolean {
  return name.startsWith(WHITEOUT_PREFIX) && (isRegular || isMetadataName(name));
}

export const NAME_PLAIN = 0;
/** A whiteout of the name that follows `.wh.`. */
export const NAME_WHITEOUT = 1;
/** AUFS metadata, or a bare `.wh.`: never shown. */
export const NAME_HIDDEN = 2;
/** A whiteout, by attribute, of this very name. */
export const NAME_GONE = 3;

/**
 * What an existing entry whose name (the last component) starts with `.wh.` is: a NAME_* value, or -errno. `stat` describes it.
 * Only an empty regular file can be a whiteout: a file with content, a directory, a link of that name is a user's own.
 */
export function classifyMarkedName(dirfd: number, name: string, stat: Stat): number {
  const metadata = isMetadataName(name.slice(name.lastIndexOf("/") + 1));
  const empty = stat.isRegular && stat.size === 0;
  if (!metadata && !empty) return NAME_PLAIN;
  const plain = readPlain(dirfd, name);
  if (plain < 0) return plain;
  if (plain === 1) return NAME_PLAIN;
  const gone = empty ? readXattrWhiteout(dirfd, name) : 0;
  if (gone < 0) return gone;
  if (gone === 1) return NAME_GONE;
  return metadata ? NAME_HIDDEN : NAME_WHITEOUT;
}
