/** What a crash of the machine leaves of a file system: what copies that are not synced (settle.ts) rely on. */
import { release } from "node:os";
import { ignore } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_FDCWD, O_DIRECTORY, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";

/**
 * `kept`: of changes of names and attributes the later are not there without the earlier, and extents say which data was
 * written. `lost`: only the latter, so that attributes must be synced before a rename. `unknown`: rely on nothing.
 */
export type Order = "kept" | "lost" | "unknown";

const EXT4 = 0xef53;
const XFS = 0x58465342;
const BTRFS = 0x9123683e;
/** Survives no crash at all. */
const TMPFS = 0x01021994;

const statfs = Buffer.alloc(120);
const stat = new Stat();

/** Of the file system of a directory. A few system calls. */
export function orderAfterCrash(fd: number): Order {
  if (native.statfs(fd, statfs) < 0) return "unknown";
  const type = statfs.readUInt32LE(0);
  if (type === TMPFS || type === BTRFS) return "kept";
  // Before Linux 5.10, extents beyond the end of what was written could look as if they were.
  if (type === XFS) return kernel() >= 5010 ? "kept" : "unknown";
  if (type !== EXT4) return "unknown";
  return hasJournal(fd) ? "kept" : "lost";
}

function kernel(): number {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return major * 1000 + minor;
}

/** ext4 may be without one, and ext2, which has the same number, is. True where sysfs does not tell. */
function hasJournal(fd: number): boolean {
  if (native.statx(fd, "", STATX_ALL, stat.bytes) < 0) return false;
  const device = `/sys/dev/block/${stat.devMajor}:${stat.devMinor}`;
  const target = Buffer.alloc(512);
  const length = native.readlink(AT_FDCWD, device, target);
  const sysfs = native.openFollow("/sys/fs/ext4", O_PATH | O_DIRECTORY);
  if (sysfs < 0 || length < 0) {
    if (sysfs >= 0) ignore(native.close(sysfs), "an O_PATH descriptor");
    return true;
  }
  const name = target.latin1Slice(target.subarray(0, length).lastIndexOf("/") + 1, length);
  const file = native.open(sysfs, `${name}/journal_task`, O_RDONLY, 0);
  ignore(native.close(sysfs), "an O_PATH descriptor");
  if (file < 0) return false;
  const read = native.pread(file, target, 0, target.length, 0);
  ignore(native.close(file), "only read");
  return read > 0 && !target.latin1Slice(0, read).startsWith("<none>");
}
