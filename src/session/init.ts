import * as c from "../protocol/constants.js";
import { type InitIn, type InitOut, readInit, writeInit } from "../protocol/init.js";
import { INIT } from "../protocol/opcodes.js";
import type { Reply } from "../protocol/reply.js";
import type { Request } from "../protocol/request.js";
import type { IoPolicy } from "./config.js";

/** Bytes of one WRITE and of one READ at most; the kernel counts them in pages. */
export const maxWrite = 1 << 20;
const pageSize = 4096;

/**
 * What the driver wants, if the kernel offers it. Left out on purpose:
 * - POSIX_LOCKS, FLOCK_LOCKS: locks stay with the kernel, where they are right for one mount;
 * - ATOMIC_O_TRUNC (but with passthrough): with zero-message opens O_TRUNC comes as a SETATTR of the size;
 * - WRITEBACK_CACHE: sizes and times would be the kernel's, and a copy-up would come after write(2) returned;
 * - ASYNC_DIO: what others read into the cache during a direct write is dropped only after a synchronous one, and would stay;
 * - AUTO_INVAL_DATA: files change only through the mount;
 * - READDIRPLUS_AUTO: a plain READDIR first costs a LOOKUP for each entry later;
 * - EXPORT_SUPPORT: needs lookups by nodeid of what was forgotten.
 */
const wanted =
  c.INIT_ASYNC_READ |
  c.INIT_BIG_WRITES |
  c.INIT_DONT_MASK |
  c.INIT_HAS_IOCTL_DIR |
  c.INIT_DO_READDIRPLUS |
  c.INIT_NO_OPEN_SUPPORT |
  c.INIT_NO_OPENDIR_SUPPORT |
  c.INIT_PARALLEL_DIROPS |
  c.INIT_ABORT_ERROR |
  c.INIT_MAX_PAGES |
  c.INIT_CACHE_SYMLINKS |
  c.INIT_HANDLE_KILLPRIV_V2 |
  c.INIT_SETXATTR_EXT |
  c.INIT_EXT;

/**
 * With passthrough a file that is opened for truncation need not be copied up whole, so OPEN does both. O_TRUNC with read-only
 * access then truncates before the kernel checks that nobody executes the file. Not for `auto`, where OPEN may cease to come: the
 * kernel would then truncate by itself and tell nobody.
 */
const wantedForPassthrough = c.INIT_ATOMIC_O_TRUNC;

/** What this kernel must be able to do: without it writes and opens would need handlers the driver does not have. */
const needed = c.INIT_BIG_WRITES | c.INIT_NO_OPEN_SUPPORT | c.INIT_NO_OPENDIR_SUPPORT | c.INIT_MAX_PAGES;

/**
 * The answer to INIT: the lower of both minors, and of the flags those that both sides want. `posixAcl` makes the kernel
 * check permissions by owner, mode and ACL, so it goes with default_permissions only. `stackDepth`: how many file systems,
 * this one not counted, may lie on each other for passthrough. A string: why there is no agreement.
 */
export function negotiate(init: InitIn, posixAcl: boolean, io: IoPolicy = "cached", stackDepth = 1): InitOut | string {
  if (init.major < c.protocolMajor || (init.major === c.protocolMajor && init.minor < c.protocolMinorMinimum)) {
    return `the kernel speaks FUSE ${init.major}.${init.minor}, and 7.${c.protocolMinorMinimum} (Linux 5.4) is needed`;
  }
  const passthrough = io !== "cached" && (init.flags & c.INIT_EXT) !== 0 && (init.flags2 & c.INIT2_PASSTHROUGH) !== 0;
  const more = (posixAcl ? c.INIT_POSIX_ACL : 0) | (passthrough && io === "passthrough" ? wantedForPassthrough : 0);
  const flags = init.flags & (wanted | more);
  // Idmapped mounts too need the kernel's own check of permissions: it sends no caller's ids then but with creations.
  const idmaps = posixAcl && (init.flags & c.INIT_EXT) !== 0 ? init.flags2 & c.INIT2_ALLOW_IDMAP : 0;
  if (init.major === c.protocolMajor && (flags & needed) !== needed) {
    return `the kernel lacks FUSE features: offered 0x${(init.flags >>> 0).toString(16)}, needed 0x${needed.toString(16)}`;
  }
  return {
    major: c.protocolMajor,
    minor: Math.min(init.minor, c.protocolMinor),
    maxReadahead: init.maxReadahead,
    flags,
    flags2: (passthrough ? c.INIT2_PASSTHROUGH : 0) | idmaps,
    maxBackground: 64,
    congestionThreshold: 48,
    maxWrite,
    timeGranularity: 1,
    maxPages: maxWrite / pageSize,
    maxStackDepth: passthrough ? stackDepth : 0,
  };
}

/**
 * Answers one INIT that stands in `request` (of `received` bytes). The answer is in `reply`, its length in the result. A
 * kernel of a higher major version is told ours and asks again: then `out` is null.
 */
export function answerInit(
  request: Request,
  reply: Reply,
  received: number,
  posixAcl: boolean,
  io: IoPolicy,
  stackDepth: number,
): { length: number; out: InitOut | null } | string {
  const parsed = request.parseHeader(received);
  if (parsed < 0 || request.opcode !== INIT || request.bodyLength < 16) {
    return "the first request on /dev/fuse is not INIT";
  }
  const init = readInit(request);
  reply.begin();
  const out = negotiate(init, posixAcl, io, stackDepth);
  if (typeof out === "string") return out;
  writeInit(reply, out);
  const length = reply.finish(request.uniqueLow, request.uniqueHigh);
  return { length, out: init.major > c.protocolMajor ? null : out };
}
