/** Locks on the upper and the work directory: who changes an upper is alone with it. */
import { EAGAIN, errnoName, ignore } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { LOCK_EX, LOCK_NB, O_DIRECTORY, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { MountError } from "./mount-error.js";
import { shown } from "./paths.js";

/** How long a mount waits for a lock that an ending driver is about to release. */
const LOCK_PATIENCE_MS = 2000;

/** Locks a directory for this mount; the kernel releases the lock with the last descriptor, however the driver ends. Throws MountError. */
export function lock(fd: number, path: string, what: string, kind = LOCK_EX): number {
  const real = native.reopen(fd, O_RDONLY | O_DIRECTORY);
  if (real < 0) throw new MountError(`cannot open ${what} ${shown(path)}: ${errnoName(real)}`, path);
  const deadline = Date.now() + LOCK_PATIENCE_MS;
  let r = native.flock(real, kind | LOCK_NB);
  while (r === -EAGAIN && Date.now() < deadline) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    r = native.flock(real, kind | LOCK_NB);
  }
  if (r === 0) return real;
  ignore(native.close(real), "the mount fails");
  if (r === -EAGAIN) {
    throw new MountError(`${what} ${shown(path)} ${inUse(fd)}`, path);
  }
  throw new MountError(`cannot lock ${what} ${shown(path)}: ${errnoName(r)}`, path);
}

/** What to say of a directory that another driver has locked, and what to do: a mount that was detached is in no list. */
function inUse(fd: number): string {
  const pid = holder(fd);
  const who = pid === 0 ? "" : `, whose driver is process ${pid}`;
  const end = pid === 0 ? "them" : `them or that process`;
  return `is in use by another mount${who}: unmount that one first, or use another; if it is detached (umount --lazy), programs still use it: end ${end}`;
}

const stat = new Stat();
const table = Buffer.alloc(1 << 16);

/** The process that has locked a directory by flock(2), as far as /proc/locks tells from here; otherwise 0. */
function holder(fd: number): number {
  if (native.statx(fd, "", STATX_ALL, stat.bytes) < 0) return 0;
  const locks = native.openFollow("/proc/locks", O_RDONLY);
  if (locks < 0) return 0;
  const length = native.pread(locks, table, 0, table.length, 0);
  ignore(native.close(locks), "only read");
  const hex = (part: number) => part.toString(16).padStart(2, "0");
  const where = `${hex(stat.devMajor)}:${hex(stat.devMinor)}:${stat.inoHigh * 4294967296 + stat.inoLow}`;
  for (const line of table.latin1Slice(0, Math.max(length, 0)).split("\n")) {
    const fields = line.trim().split(/ +/);
    if (fields[1] === "FLOCK" && fields[5] === where) return Math.max(0, Number(fields[4]) || 0);
  }
  return 0;
}
