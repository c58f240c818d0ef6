import { readFileSync, readlinkSync } from "node:fs";
import type { Request } from "../protocol/request.js";
import type { Setter } from "../union/ops/ioctl.js";
import type { Changer } from "../union/set-id.js";

/** FUSE_INVALID_UIDGID: with idmapped mounts the kernel names the caller of creations only. */
const UNKNOWN_ID = 0xffffffff;

/**
 * Who asks, as a user ID; UNKNOWN_ID if nobody can tell. Where the kernel does not name the caller, /proc does (a few dozen
 * microseconds), in the driver's user namespace; somebody who has gone meanwhile is nobody.
 */
export function callerOf(request: Request): number {
  if (request.uid !== UNKNOWN_ID) return request.uid;
  // Real, effective, saved and file system id.
  const ids = /^Uid:\s+\d+\s+\d+\s+\d+\s+(\d+)$/m.exec(statusOf(request.pid));
  return Number(ids?.[1] ?? UNKNOWN_ID);
}

/** Whether root asks, which stands for capabilities that the protocol does not tell. */
export function isRootAsking(request: Request): boolean {
  return callerOf(request) === 0;
}

/** In the low half of a set of capabilities (linux/capability.h). */
const CAP_FOWNER = 1 << 3;
const CAP_FSETID = 1 << 4;
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

let changing: Request;
const changer: Changer = { keepsGroupBit: (uid, gid) => keepsGroupBit(changing.pid, uid, gid) };

/** Who changes a file by this request; valid until the next call. Costs nothing before it is asked. */
export function changerOf(request: Request): Changer {
  changing = request;
  return changer;
}

/**
 * Linux's in_group_or_capable: a process in the group, or one with CAP_FSETID in a user namespace where both owners have ids. Whoever
 * cannot be found is neither. On an idmapped mount the groups are those behind the mapping, which the driver is not told.
 */
function keepsGroupBit(pid: number, uid: number, gid: number): boolean {
  const status = statusOf(pid);
  // Real, effective, saved and file system id.
  const fsgid = /^Gid:\s+\d+\s+\d+\s+\d+\s+(\d+)$/m.exec(status)?.[1];
  const groups = /^Groups:\s*(.*)$/m.exec(status)?.[1]?.trim().split(/\s+/) ?? [];
  if (fsgid === String(gid) || groups.includes(String(gid))) return true;
  return (capabilitiesIn(status) & CAP_FSETID) !== 0 && hasIds(pid, uid, gid);
}

/** Whether these ids, of the driver's user namespace, are there in the user namespace of a process. */
function hasIds(pid: number, uid: number, gid: number): boolean {
  try {
    if (readlinkSync(`/proc/${pid}/ns/user`) === readlinkSync("/proc/self/ns/user")) return true;
    return isMapped(`/proc/${pid}/uid_map`, uid) && isMapped(`/proc/${pid}/gid_map`, gid);
  } catch {
    return false;
  }
}

/** Lines of the first id inside, the first outside (in the namespace of who reads), and how many (user_namespaces(7)). */
function isMapped(path: string, id: number): boolean {
  return readFileSync(path, "latin1")
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .some(([, first = 0, count = 0]) => id >= first && id < first + count);
}

function capabilitiesOf(pid: number): number {
  return capabilitiesIn(statusOf(pid));
}

function capabilitiesIn(status: string): number {
  return Number.parseInt(/^CapEff:\s+[0-9a-f]*([0-9a-f]{8})$/m.exec(status)?.[1] ?? "0", 16);
}

/** /proc/PID/status, a few dozen microseconds; empty for somebody who has gone. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return "";
  }
}
