/**
 * Metacopies: a lower regular file whose attributes or names change gets a copy without data in the upper, as sparse as can
 * be and marked by `overlay.metacopy`. Its data is found below by its name, or where `overlay.redirect` leads once that
 * is not the name of the lower file any more.
 */
import { E2BIG, EDQUOT, ENOSPC, EOPNOTSUPP, EPERM, ERANGE, errnoName, ignore } from "../errno.js";
import { Stat } from "../layer/stat.js";
import { DT_REG, O_CREAT, O_EXCL, O_RDWR } from "../native/constants.js";
import { native } from "../native/index.js";
import { completeData } from "./complete.js";
import { publishFile } from "./copy-file.js";
import { type DataSource, dataPlace, dataSource, openBelow } from "./data-source.js";
import { dropDescriptor, dropSource } from "./held.js";
import { locate, partPath, pathBelow, statBacking } from "./locate.js";
import { newMark } from "./metacopy-mark.js";
import { DATA_BELOW } from "./node-table.js";
import { bringNames, PUBLISHED, storeOrigin } from "./publish.js";
import { settle } from "./settle.js";
import type { Union } from "./union.js";

/** A longer path could be stored, but nothing could be opened by it. */
const PATH_MAX = 4096;

const nothing = new Uint8Array(0);
const lower = new Stat();

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

/** Copies a lower file up without its data: MADE, 0 where it has none or that cannot be (copy it with data), or -errno. */
export function copyUpMetadata(u: Union, node: number): number {
  const { table } = u;
  let r = statBacking(u, node, lower);
  if (r < 0 || lower.size === 0) return r;
  const source = lowerSource(u, node);
  if (source === null || typeof source === "number") return source ?? 0;
  const mark = u.verity === "off" ? nothing : markFor(u, node);
  if (mark === null || typeof mark === "number") return mark ?? 0;
  const temporary = u.work.temporary();
  const fd = native.openAs(u.work.fd, temporary, O_CREAT | O_EXCL | O_RDWR, 0o600, 0, 0);
  if (fd < 0) return fd;
  const stored = storeOrigin(u, node, temporary, lower);
  r = stored < 0 ? stored : native.truncate(fd, lower.size);
  if (r === 0) r = native.setxattr(fd, "", u.work.names.metacopy, mark, 0);
  const refused = r === -EOPNOTSUPP || r === -EPERM;
  if (r === 0) r = publishFile(u, node, temporary, fd, lower, stored);
  ignore(native.close(fd), "nothing was written through it");
  if (r < 0) u.work.discard(temporary);
  if (refused) {
    u.log("info", "the upper takes no metacopies: data is always copied", { error: errnoName(r) });
    u.metacopy = false;
    return 0;
  }
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
