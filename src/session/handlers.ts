/**
 * One handler for each opcode that names, attributes and directories need; those of data are in handlers-data.ts, those of open
 * files in handlers-open.ts.
 * A handler decodes, calls one operation of the union, and encodes.
 */
import { EFBIG, EIO, ENODATA, ENOENT, ENOSYS, ENOTTY, ERANGE, ignore } from "../errno.js";
import { SETXATTR_ACL_KILL_SGID } from "../protocol/constants.js";
import * as op from "../protocol/opcodes.js";
import { deviceMajor, deviceMinor } from "../protocol/reply.js";
import type { Request } from "../protocol/request.js";
import { getattr as getAttributes } from "../union/ops/getattr.js";
import { getFlags, setFlags } from "../union/ops/ioctl.js";
import { link as linkNode } from "../union/ops/link.js";
import { lookup as lookUp } from "../union/ops/lookup.js";
import { mkdir as makeDirectory } from "../union/ops/mkdir.js";
import { mknod as makeNode } from "../union/ops/mknod.js";
import { readdir as readDirectory } from "../union/ops/readdir.js";
import { readlink as readLink } from "../union/ops/readlink.js";
import { rename as renameEntry } from "../union/ops/rename.js";
import { rmdir as removeDirectory } from "../union/ops/rmdir.js";
import { namesNothing, setattr as setAttributes } from "../union/ops/setattr.js";
import { statfs as statFileSystem } from "../union/ops/statfs.js";
import { symlink as makeSymlink } from "../union/ops/symlink.js";
import { unlink as unlinkEntry } from "../union/ops/unlink.js";
import {
  getxattr as getAttribute,
  isKnownAbsent,
  listxattr as listAttributes,
  removexattr as removeAttribute,
  setxattr as setAttribute,
} from "../union/ops/xattr.js";
import { absence } from "./absence.js";
import { callerOf, changerOf, isRootAsking, setterOf } from "./caller.js";
import { dataHandlers } from "./handlers-data.js";
import { openHandlers } from "./handlers-open.js";
import { entry, type Handler, NO_REPLY, type Service } from "./service.js";

function lookup(s: Service): number {
  const nodeid = lookUp(s.union, s.request.nodeid, s.request.name());
  if (nodeid !== -ENOENT) return entry(s, nodeid);
  // An entry without a node lets the kernel remember that the name is not there; ENOENT does not.
  s.reply.negativeEntry();
  return 0;
}

function forget(s: Service): number {
  s.forgets.one(s.request.nodeid, s.request.u64(0));
  return NO_REPLY;
}

function batchForget(s: Service): number {
  const { request } = s;
  const count = request.u32(0);
  if (request.bodyLength < 8 + count * 16) return -EIO;
  s.forgets.many(request.wordsAt(8, count * 4));
  return NO_REPLY;
}

/** The attributes of the request's node, in `union.stat`, or the operation's error. */
function attributes(s: Service, result: number): number {
  if (result < 0) return result;
  s.reply.trusted = s.union.openFiles.trusts(s.request.nodeid);
  s.reply.attrOut(s.union.stat.words);
  return 0;
}

function getattr(s: Service): number {
  return attributes(s, getAttributes(s.union, s.request.nodeid));
}

function statx(s: Service): number {
  const result = getAttributes(s.union, s.request.nodeid);
  if (result < 0) return result;
  s.reply.trusted = s.union.openFiles.trusts(s.request.nodeid);
  s.reply.statxOut(s.union.stat.words);
  return 0;
}

/** A time, or the last (first) that a number holds: a file system too gives the nearest that it has. */
function seconds(request: Request, at: number): number {
  const value = request.i64(at);
  if (!Number.isNaN(value)) return value;
  return request.u32(at + 4) >>> 31 === 0 ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER;
}

function setattr(s: Service): number {
  const { request, setAttr } = s;
  setAttr.valid = request.u32(0);
  if (namesNothing(setAttr.valid)) setAttr.caller = callerOf(request);
  setAttr.changer = changerOf(request);
  setAttr.size = request.u64(16);
  setAttr.atime = seconds(request, 32);
  setAttr.mtime = seconds(request, 40);
  setAttr.atimeNsec = request.u32(56);
  setAttr.mtimeNsec = request.u32(60);
  setAttr.mode = request.u32(68);
  setAttr.uid = request.u32(76);
  setAttr.gid = request.u32(80);
  // NaN: beyond 2^53, which no file system reaches; the fields that are not valid are zero.
  if (Number.isNaN(setAttr.size)) return -EFBIG;
  return attributes(s, setAttributes(s.union, request.nodeid, setAttr));
}

function readlink(s: Service): number {
  const length = readLink(s.union, s.request.nodeid);
  if (length >= 0) s.reply.data(s.union.scratch, length);
  return length;
}

function symlink(s: Service): number {
  const request = s.request;
  return entry(s, makeSymlink(s.union, request.nodeid, request.name(), request.secondName(), s.cred));
}

function mknod(s: Service): number {
  const request = s.request;
  const device = request.u32(4);
  return entry(
    s,
    makeNode(
      s.union,
      request.nodeid,
      request.name(),
      request.u32(0),
      deviceMajor(device),
      deviceMinor(device),
      request.u32(8),
      s.cred,
    ),
  );
}

function mkdir(s: Service): number {
  const request = s.request;
  return entry(s, makeDirectory(s.union, request.nodeid, request.name(), request.u32(0), request.u32(4), s.cred));
}

function link(s: Service): number {
  const request = s.request;
  return entry(s, linkNode(s.union, s.union.openFiles.current(request.u64(0)), request.nodeid, request.name()));
}

function unlink(s: Service): number {
  return unlinkEntry(s.union, s.request.nodeid, s.request.name());
}

function rmdir(s: Service): number {
  return removeDirectory(s.union, s.request.nodeid, s.request.name());
}

function rename(s: Service): number {
  const request = s.request;
  return renameEntry(s.union, request.nodeid, request.name(), request.u64(0), request.secondName(), 0);
}

function rename2(s: Service): number {
  const request = s.request;
  return renameEntry(s.union, request.nodeid, request.name(), request.u64(0), request.secondName(), request.u32(8));
}

function statfs(s: Service): number {
  const result = statFileSystem(s.union, s.request.nodeid);
  if (result >= 0) s.reply.statfs(s.union.statfs);
  return result;
}

function setxattr(s: Service): number {
  const request = s.request;
  const size = request.u32(0);
  const start = request.afterName;
  if (request.bodyLength - start !== size) return -EIO;
  const killSgid = s.agreement.setxattrExtended && (request.u32(8) & SETXATTR_ACL_KILL_SGID) !== 0;
  const value = request.view(start, size);
  return setAttribute(s.union, request.nodeid, request.name(), value, request.u32(4), killSgid);
}

/** What GETXATTR and LISTXATTR share: only the length where the caller asks for it, otherwise the bytes just put. */
function attributeBytes(s: Service, asked: number, length: number): number {
  if (length < 0) return length;
  if (asked === 0) s.reply.xattrSize(length);
  else if (length > asked) return -ERANGE;
  else s.reply.advance(length);
  return 0;
}

function getxattr(s: Service): number {
  const request = s.request;
  const asked = request.u32(0);
  const name = request.name();
  // Most of all messages about attributes.
  if (isKnownAbsent(s.union, request.nodeid, name)) return -ENODATA;
  const out = s.reply.area(Math.min(asked, s.reply.room));
  const length = getAttribute(s.union, request.nodeid, name, out);
  return attributeBytes(s, asked, length === -ENODATA ? absence(name) : length);
}

function listxattr(s: Service): number {
  const asked = s.request.u32(0);
  const out = s.reply.area(Math.min(asked, s.reply.room));
  // The request says who asks, not with which capabilities: root stands for CAP_SYS_ADMIN.
  return attributeBytes(
    s,
    asked,
    listAttributes(s.union, s.request.nodeid, () => isRootAsking(s.request), out),
  );
}

function removexattr(s: Service): number {
  return removeAttribute(s.union, s.request.nodeid, s.request.name());
}

/**
 * Directories are opened without a message (OPENDIR is answered ENOSYS): the request names the node only, and offsets mean
 * the same in every listing of it. The union's handle, which holds the listing, is the session's own (listings.ts).
 */
function list(s: Service, plus: boolean): number {
  const request = s.request;
  const handle = s.listings.handle(request.nodeid);
  if (handle < 0) return handle;
  s.sink.start(request.u32(16), plus);
  const result = readDirectory(s.union, handle, request.u64(8), plus, s.sink);
  if (s.sink.count === 0) s.listings.drop(request.nodeid);
  // Entries that were added have been counted as looked up: they go out, and the error comes at the next call.
  return result < 0 && s.sink.count > 0 ? 0 : result;
}

function readdir(s: Service): number {
  return list(s, false);
}

function readdirplus(s: Service): number {
  return list(s, true);
}

/** INTERRUPT itself is never answered; the interrupted request may be. */
function interrupt(s: Service): number {
  s.interrupted(s.request.u32(0), s.request.u32(4));
  return NO_REPLY;
}

const IOC_WRITE = 1;
const IOC_READ = 2;

/** Only commands of fixed direction and size get here: the mount is no server of unrestricted ioctls. */
function ioctl(s: Service): number {
  const { request, reply } = s;
  const command = request.u32(12);
  const inSize = request.u32(24);
  const outSize = request.u32(28);
  if (request.bodyLength - 32 < inSize) return -EIO;
  // The direction bits stand at the top of a command (asm-generic/ioctl.h).
  const direction = command >>> 30;
  if (direction === IOC_WRITE) {
    const result = setFlags(s.union, request.nodeid, command, request.view(32, inSize), setterOf(request));
    if (result < 0) return result;
    // The time of the change is another now, of which the kernel knows nothing. It takes no lock for attributes alone.
    ignore(s.notifier.invalInode(request.nodeid, -1, 0), "ENOENT: it has forgotten them already");
    reply.ioctl(0);
    return 0;
  }
  if (direction !== IOC_READ) return -ENOTTY;
  reply.ioctl(0);
  const out = reply.area(Math.min(outSize, reply.room));
  const length = getFlags(s.union, request.nodeid, command, out);
  if (length < 0) return length;
  reply.advance(Math.min(length, out.length));
  return 0;
}

function succeed(): number {
  return 0;
}

/**
 * The kernel takes ENOSYS as "never ask again", and goes on by itself: zero-message OPENDIR, no FLUSH at close, permissions by its own check instead of ACCESS, always readable and writable instead of
 * POLL, its own locks. BMAP and the mappings belong to block devices and virtiofs.
 */
function notImplemented(): number {
  return -ENOSYS;
}

const table: (Handler | undefined)[] = [];
table[op.LOOKUP] = lookup;
table[op.FORGET] = forget;
table[op.GETATTR] = getattr;
table[op.SETATTR] = setattr;
table[op.READLINK] = readlink;
table[op.SYMLINK] = symlink;
table[op.MKNOD] = mknod;
table[op.MKDIR] = mkdir;
table[op.UNLINK] = unlink;
table[op.RMDIR] = rmdir;
table[op.RENAME] = rename;
table[op.LINK] = link;
table[op.STATFS] = statfs;
table[op.SETXATTR] = setxattr;
table[op.GETXATTR] = getxattr;
table[op.LISTXATTR] = listxattr;
table[op.REMOVEXATTR] = removexattr;
table[op.FLUSH] = notImplemented;
table[op.OPENDIR] = notImplemented;
table[op.READDIR] = readdir;
table[op.RELEASEDIR] = succeed;
table[op.GETLK] = notImplemented;
table[op.SETLK] = notImplemented;
table[op.SETLKW] = notImplemented;
table[op.ACCESS] = notImplemented;
table[op.INTERRUPT] = interrupt;
table[op.BMAP] = notImplemented;
table[op.DESTROY] = succeed;
table[op.IOCTL] = ioctl;
table[op.POLL] = notImplemented;
table[op.NOTIFY_REPLY] = () => NO_REPLY;
table[op.BATCH_FORGET] = batchForget;
table[op.READDIRPLUS] = readdirplus;
table[op.RENAME2] = rename2;
table[op.SETUPMAPPING] = notImplemented;
table[op.REMOVEMAPPING] = notImplemented;
table[op.STATX] = statx;

/** The handlers by opcode. An opcode without one (INIT after the first, or unknown) is answered ENOSYS. */
export const handlers: readonly (Handler | undefined)[] = Object.assign(table, dataHandlers, openHandlers);
