import { readFileSync } from "node:fs";
import type { Request } from "../protocol/request.js";

/** FUSE_INVALID_UIDGID: with idmapped mounts the kernel names the caller of creations only. */
const UNKNOWN_ID = 0xffffffff;

/**
 * Whether root asks, which stands for capabilities that the protocol does not tell. Where the kernel does not name the caller,
 * /proc does (a few dozen microseconds), in the driver's user namespace; somebody who has gone meanwhile is nobody.
 */
export function isRootAsking(request: Request): boolean {
  if (request.uid !== UNKNOWN_ID) return request.uid === 0;
  try {
    // Real, effective, saved and file system id.
    const ids = /^Uid:\s+\d+\s+\d+\s+\d+\s+(\d+)$/m.exec(readFileSync(`/proc/${request.pid}/status`, "latin1"));
    return ids?.[1] === "0";
  } catch {
    return false;
  }
}
