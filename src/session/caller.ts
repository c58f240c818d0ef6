import { readFileSync } from "node:fs";
import type { Request } from "../protocol/request.js";

/** FUSE_INVALID_UIDGID: with idmapped mounts the kernel names the caller of creations only. */
const UNKNOWN_ID = 0xffffffff;

/**
 * Who asks, as a user ID; UNKNOWN_ID if nobody can tell. Where the kernel does not name the caller, /proc does (a few dozen
 * microseconds), in the driver's user namespace; somebody who has gone meanwhile is nobody.
 */
export function callerOf(request: Request): number {
  if (request.uid !== UNKNOWN_ID) return request.uid;
  try {
    // Real, effective, saved and file system id.
    const ids = /^Uid:\s+\d+\s+\d+\s+\d+\s+(\d+)$/m.exec(readFileSync(`/proc/${request.pid}/status`, "latin1"));
    return Number(ids?.[1] ?? UNKNOWN_ID);
  } catch {
    return UNKNOWN_ID;
  }
}

/** Whether root asks, which stands for capabilities that the protocol does not tell. */
export function isRootAsking(request: Request): boolean {
  return callerOf(request) === 0;
}
