/** The handlers of open files, as far as there are such messages (opens.ts). */
import { ENOSYS } from "../errno.js";
import { FOPEN_KEEP_CACHE, FOPEN_PASSTHROUGH, OPEN_KILL_SUIDGID } from "../protocol/constants.js";
import * as op from "../protocol/opcodes.js";
import {
  create as createFile,
  openAuto,
  openCreated,
  open as openFile,
  release as releaseFile,
} from "../union/ops/open.js";
import { tmpfile as makeTemporary } from "../union/ops/tmpfile.js";
import { changerOf } from "./caller.js";
import { entry, type Handler, type Service } from "./service.js";

/**
 * The open part of an answer. The handle is not needed: all who have a node open share its backing. Without one the kernel
 * caches. An open with a backing takes away what was cached before; with `passthrough` a file may also have been written through
 * the backing of another row, so that pages of an earlier time are not believed there.
 */
function opened(s: Service, backing: number): number {
  if (backing > 0) s.reply.open(0, FOPEN_PASSTHROUGH, backing);
  else s.reply.open(0, s.opens.io === "passthrough" ? 0 : FOPEN_KEEP_CACHE);
  return 0;
}

function open(s: Service): number {
  const { opens, request, union } = s;
  if (opens.silent) return -ENOSYS;
  const flags = request.u32(0);
  const changer = (request.u32(4) & OPEN_KILL_SUIDGID) === 0 ? null : changerOf(request);
  const backing =
    opens.io === "auto" ? openAuto(union, request.nodeid, flags) : openFile(union, request.nodeid, flags, changer);
  if (backing < 0) return backing;
  opens.note(backing);
  if (!opens.silent) return opened(s, backing);
  releaseFile(union, request.nodeid);
  return -ENOSYS;
}

function created(s: Service, nodeid: number): number {
  const result = entry(s, nodeid);
  if (result < 0) return result;
  const backing = s.union.openFiles.get(nodeid)?.backing ?? 0;
  s.opens.note(backing);
  return opened(s, backing);
}

function create(s: Service): number {
  if (s.opens.silent) return -ENOSYS;
  const request = s.request;
  const flags = request.u32(0);
  return created(s, createFile(s.union, request.nodeid, request.name(), request.u32(4), request.u32(8), flags, s.cred));
}

/** O_TMPFILE: an object and an open file at once, the one that is always a message. */
function tmpfile(s: Service): number {
  const request = s.request;
  const nodeid = makeTemporary(s.union, request.nodeid, request.u32(4), request.u32(8), s.cred);
  if (!s.opens.silent) {
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
