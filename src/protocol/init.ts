import type { Reply } from "./reply.js";
import type { Request } from "./request.js";

/** struct fuse_init_in. */
export interface InitIn {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
}

/** The fields of struct fuse_init_out that the driver sets. */
export interface InitOut {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
  readonly maxBackground: number;
  readonly congestionThreshold: number;
  readonly maxWrite: number;
  /** The unit of times, in nanoseconds. */
  readonly timeGranularity: number;
  readonly maxPages: number;
  /** How deep file systems may lie on each other below the mount for passthrough; 0: none. */
  readonly maxStackDepth: number;
}

/** Reads INIT's body; kernels before 7.36 send no second word of flags. */
export function readInit(request: Request): InitIn {
  return {
    major: request.u32(0),
    minor: request.u32(4),
    maxReadahead: request.u32(8),
    flags: request.u32(12),
    flags2: request.bodyLength >= 20 ? request.u32(16) : 0,
  };
}

/** Appends struct fuse_init_out (64 bytes). */
export function writeInit(reply: Reply, out: InitOut): void {
  reply.u32(out.major);
  reply.u32(out.minor);
  reply.u32(out.maxReadahead);
  reply.u32(out.flags);
  reply.u32(out.maxBackground | (out.congestionThreshold << 16));
  reply.u32(out.maxWrite);
  reply.u32(out.timeGranularity);
  reply.u32(out.maxPages);
  reply.u32(out.flags2);
  reply.u32(out.maxStackDepth);
  // request_timeout and what is unused.
  for (let word = 0; word < 6; word++) reply.u32(0);
}
