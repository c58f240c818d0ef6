/**
 * The handlers of open files. In `cached` mounts OPEN and CREATE are answered ENOSYS, which the kernel takes as "never ask
 * again": it opens without a message, makes files by MKNOD, and RELEASE never comes. In `passthrough` mounts each open names
 * the backing file.
 */
import { ENOSYS } from "../errno.js";
import { FOPEN_KEEP_CACHE, FOPEN_PASSTHROUGH, OPEN_KILL_SUIDGID } from "../protocol/constants.js";
import * as op from "../protocol/opcodes.js";
import { create as createFile, openCreated, open as openFile, release as releaseFile } from "../union/ops/open.js";
import { tmpfile as makeTemporary } from "../union/ops/tmpfile.js";
import { entry, type Handler, type Service } from "./service.js";

/**
 * The open part of an answer. The handle is not needed: all who have a node open share its backing. Without one the kernel
 * caches; pages of an earlier time may be older than what others wrote through a backing meanwhile, so they go.
 */
function opened(s: Service, backing: number): number {
  if (backing > 0) s.reply.open(0, FOPEN_PASSTHROUGH, backing);
  else s.reply.open(0, 0);
  return 0;
}

function open(s: Service): number {
  if (!s.agreement.passthrough) return -ENOSYS;
  const { request } = s;
  const killPrivileges = (request.u32(4) & OPEN_KILL_SUIDGID) !== 0;
  const backing = openFile(s.union, request.nodeid, request.u32(0), killPrivileges);
  return backing < 0 ? backing : opened(s, backing);
}

function created(s: Service, nodeid: number): number {
  const result = entry(s, nodeid);
  return result < 0 ? result : opened(s, s.union.openFiles.get(nodeid)?.backing ?? 0);
}

function create(s: Service): number {
  if (!s.agreement.passthrough) return -ENOSYS;
  const request = s.request;
  const flags = request.u32(0);
  return created(s, createFile(s.union, request.nodeid, request.name(), request.u32(4), request.u32(8), flags, s.cred));
}

/** O_TMPFILE: an object and an open file at once, in `cached` mounts the only one of its kind. */
function tmpfile(s: Service): number {
  const request = s.request;
  const nodeid = makeTemporary(s.union, request.nodeid, request.u32(4), request.u32(8), s.cred);
  if (s.agreement.passthrough) {
    return created(s, nodeid < 0 ? nodeid : openCreated(s.union, nodeid, request.u32(0)));
  }
  const result = entry(s, nodeid);
  if (result >= 0) s.reply.open(0, FOPEN_KEEP_CACHE);
  return result;
}

function release(s: Service): number {
  releaseFile(s.union, s.request.nodeid);
  return 0;
}

/** By opcode, to be merged into the table of handlers.ts. */
export const openHandlers: Readonly<Record<number, Handler>> = {
  [op.OPEN]: open,
  [op.CREATE]: create,
  [op.TMPFILE]: tmpfile,
  [op.RELEASE]: release,
};
