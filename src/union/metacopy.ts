/**
 * Metacopies: a lower regular file whose attributes or names change gets a copy without data in the upper, as sparse as can
 * be and marked by `overlay.metacopy`. Its data is found below by its name, or where `overlay.redirect` leads once that
 * is not the name of the lower file any more.
 */
import {
  E2BIG,
  EDQUOT,
  EINVAL,
  EISDIR,
  ENOSPC,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  ERANGE,
  errnoName,
  ignore,
} from "../errno.js";
import { HAS_NONE } from "../layer/marks.js";
import { S_IFREG, Stat } from "../layer/stat.js";
import { DT_REG } from "../native/constants.js";
import { native } from "../native/index.js";
import { completeData } from "./complete.js";
import { copyOwner, copyXattrs } from "./copy-attributes.js";
import { keepPlain } from "./copy-file.js";
import { copyFlags } from "./copy-flags.js";
import { type DataSource, dataPlace, dataSource, learnPlace, openBelow } from "./data-source.js";
import { dropDescriptor, dropSource } from "./held.js";
import { locate, partPath, pathBelow, statBacking } from "./locate.js";
import { newMark } from "./metacopy-mark.js";
import { DATA_BELOW, DATA_UNKNOWN } from "./node-table.js";
import { bringNames, originOf, PUBLISHED, publishLinked, put, STORED } from "./publish.js";
import { settle } from "./settle.js";
import type { Union } from "./union.js";

/** A longer path could be stored, but nothing could be opened by it. */
const PATH_MAX = 4096;

const nothing = new Uint8Array(0);
const lower = new Stat();
/** The copy as it was created. */
const made = new Stat();
/** What a copy is like where owners are stored. */
const own = new Stat();

/** Whether a lower regular file may be copied up without its data. */
export function mayStayBelow(u: Union, node: number): boolean {
  // A file without a name is found by nobody in the next mount: its data is copied.
  return u.metacopy && !u.table.isNameless(node);
}

/** Whether the data of a lower regular file can be found by the name of its copy. */
export function mayLieBelow(u: Union, node: number): boolean {
  const source = lowerSource(u, node);
  return source !== null && typeof source !== "number";
}

const MADE = 1;

/**
 * Copies a lower file up without its data: MADE, 0 where it has none or that cannot be (copy it with data), or -errno. Of a file with one
 * name it is made without a name, so that publishing it is all that directories are told of it.
 */
export function copyUpMetadata(u: Union, node: number): number {
  const { table } = u;
  let r = statBacking(u, node, lower);
  if (r < 0 || lower.size === 0) return r;
  const found = table.data(node) === DATA_UNKNOWN ? learnPlace(u, node) : 0;
  if (found < 0) return found;
  const source = lowerSource(u, node);
  if (source === null || typeof source === "number") return source ?? 0;
  const mark = u.verity === "off" ? nothing : markFor(u, node);
  if (mark === null || typeof mark === "number") return mark ?? 0;
  const origin = originOf(u, node, lower);
  if (typeof origin === "number") return origin;
  const temporary = lower.nlink === 1 && u.work.namesLater ? "" : u.work.temporary();
  const fd = create(u, temporary, origin, mark);
  if (temporary === "" && (fd === -EOPNOTSUPP || fd === -EISDIR)) {
    u.work.namesLater = false;
    return copyUpMetadata(u, node);
  }
  if (fd === -EOPNOTSUPP || fd === -EPERM) {
    u.log("info", "the upper takes no metacopies: data is always copied", { error: errnoName(fd) });
    u.metacopy = false;
    return 0;
  }
  if (fd < 0) return fd;
  r = finish(u, node, fd, temporary, (found & HAS_NONE) !== 0, origin === null ? 0 : STORED);
  ignore(native.close(fd), "nothing was written through it");
  if (r < 0 && temporary !== "") u.work.discard(temporary);
  if (r < 0) return r;
  // What was open is the lower file: its data, but not the object any more.
  dropDescriptor(u, node);
  dropSource(u, node);
  table.setLayer(node, 0);
  table.setData(node, DATA_BELOW);
  u.sources.set(node, source);
  const named = r === PUBLISHED ? bringNames(u, node) : 0;
  return named < 0 ? named : MADE;
}

/** Makes the sparse copy of `lower`, which `made` describes then, with its marks: a descriptor or -errno. */
function create(u: Union, temporary: string, origin: Uint8Array | null, mark: Uint8Array): number {
  const { names } = u.work;
  let like = lower;
  if (u.ownership?.stored != null) {
    like = own;
    own.copyFrom(lower);
    own.uid = 0;
    own.gid = 0;
    own.mode = S_IFREG | 0o600;
  }
  // The origin comes first: ext4 keeps what it has room for in the inode, and gives the rest a block, from which nothing ever moves back.
  const first = origin === null ? "" : names.origin;
  const { fd: work } = u.work;
  const fd = native.createAlike(
    work,
    temporary,
    like.bytes,
    made.bytes,
    first,
    origin ?? nothing,
    names.metacopy,
    mark,
  );
  // An id that the driver's user namespace does not have: what the kernel says of whatever belongs to one.
  return fd === -EINVAL ? -EOVERFLOW : fd;
}

/** Gives the copy `fd` what else its file has, and publishes it: PUBLISHED, 0 or -errno. `bare`: no extended attribute is to be copied. */
function finish(u: Union, node: number, fd: number, temporary: string, bare: boolean, stored: number): number {
  let r = keepPlain(u, node, fd);
  if (r === 0) r = locate(u, node);
  const { atFd, atName } = u;
  if (r === 0 && !bare) {
    r = copyXattrs(u, atFd, atName, fd, "");
    // An ACL changes it.
    if (r === 0 && u.ownership?.stored == null) r = native.chmod(fd, "", lower.mode & 0o7777);
  }
  if (r === 0) r = copyFlags(u, atFd, atName, lower, fd, "");
  if (r === 0 && u.ownership?.stored != null) r = copyOwner(u.ownership.stored, atFd, atName, lower, fd, "");
  if (r === 0 && lower.nlink > 1) r = publishLinked(u, node, temporary, lower);
  if (r !== 0) return r;
  return temporary === ""
    ? put(u, node, fd, "", made, lower, stored)
    : put(u, node, u.work.fd, temporary, made, lower, stored);
}

/** The mark for the copy of a lower file, with the digest of its data; null if that must be copied too, or -errno. */
function markFor(u: Union, node: number): Uint8Array | null | number {
  const fd = openBelow(u, node);
  if (fd < 0) return fd;
  const mark = newMark(u, fd);
  ignore(native.close(fd), "it was only asked for its digest");
  return mark;
}

/** Where the data will be of the copy of a lower file, which `lower` describes; null if its path is too long; or -errno. */
function lowerSource(u: Union, node: number): DataSource | null | number {
  const { table } = u;
  const parent = table.parent(node);
  const below = `${pathBelow(u, parent)}/${table.name(node)}`;
  if (below.length > PATH_MAX) return null;
  const place = dataPlace(u, node);
  if (place < 0) return place;
  if (place === DATA_BELOW) {
    const source = dataSource(u, node);
    return typeof source === "number" ? source : { ...source, below, redirected: false, fd: -1 };
  }
  const layer = table.layer(node);
  const part = table.directory(parent)?.partIn(layer);
  if (!part) return null;
  const base = partPath(u, parent, part);
  const path = base === "" ? table.name(node) : `${base}/${table.name(node)}`;
  if (path.length >= PATH_MAX) return null;
  return { below, redirected: false, result: 0, layer, path, blocks: lower.blocks, fd: -1 };
}

/**
 * Before a regular file, which lies in the upper, gets another name: a metacopy says where its data is. That is true of the old
 * name too. 0, -errno, or PARK: where it cannot be said, the data is copied.
 */
export function prepareName(u: Union, node: number): number {
  if (u.table.type(node) !== DT_REG) return 0;
  const place = dataPlace(u, node);
  if (place < 0) return place;
  // A copy that is not synced yet is found below by its name, should it come to that.
  if (place !== DATA_BELOW) return settle(u, node);
  const source = dataSource(u, node);
  if (typeof source === "number") return source;
  if (source.redirected) return 0;
  if (!u.writesRedirects) return completeData(u, node, Number.MAX_SAFE_INTEGER);
  const { below } = source;
  let r = below.length > PATH_MAX ? -E2BIG : locate(u, node);
  if (r === 0) r = native.setxattr(u.atFd, u.atName, u.work.names.redirect, Buffer.from(below, "latin1"), 0);
  if (r === 0) source.redirected = true;
  const tooLong = r === -ERANGE || r === -E2BIG || ((r === -ENOSPC || r === -EDQUOT) && below.length > 1024);
  return tooLong ? completeData(u, node, Number.MAX_SAFE_INTEGER) : r;
}
