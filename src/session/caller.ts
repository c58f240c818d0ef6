import { readFileSync } from "node:fs";
import type { Request } from "../protocol/request.js";
import type { Setter } from "../union/ops/ioctl.js";

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

/** In the low half of a set of capabilities (linux/capability.h). */
const CAP_FOWNER = 1 << 3;
const CAP_LINUX_IMMUTABLE = 1 << 9;

/**
 * Who sets file attributes. Linux checks both the owner and CAP_LINUX_IMMUTABLE before it asks, but only from 5.13 on; whoever cannot
 * be found in /proc has no capability.
 */
export function setterOf(request: Request): Setter {
  const capabilities = capabilitiesOf(request.pid);
  const mayProtect = (capabilities & CAP_LINUX_IMMUTABLE) !== 0;
  // On an idmapped mount, where the kernel does not name the caller, it does check the owner.
  const unchecked = request.uid === UNKNOWN_ID || (capabilities & CAP_FOWNER) !== 0;
  return { uid: unchecked ? -1 : request.uid, mayProtect };
}

function capabilitiesOf(pid: number): number {
  try {
    const low = /^CapEff:\s+[0-9a-f]*([0-9a-f]{8})$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
    return Number.parseInt(low?.[1] ?? "0", 16);
  } catch {
    return 0;
  }
}
