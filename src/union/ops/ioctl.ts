/** The file attributes of chattr(1) and the inode version, passed on to the backing object. */
import { ENOTTY, ignore } from "../../errno.js";
import { DT_DIR, DT_REG, O_DIRECTORY, O_NONBLOCK, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyUpData } from "../copy-up.js";
import type { Union } from "../union.js";

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_IOC_GETVERSION = 0x80087601;
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;

const argument = new Uint8Array(32);

/** Bytes that a command reads into its argument, or 0 for one that is not served. */
function answerSize(command: number): number {
  switch (command) {
    case FS_IOC_GETFLAGS:
    case FS_IOC_GETVERSION:
      return 4;
    case FS_IOC_FSGETXATTR:
      return 28;
    default:
      return 0;
  }
}

/** Reads attributes of a file or directory into `out`: the length of the answer, or -errno (ENOTTY: not served). */
export function getFlags(u: Union, node: number, command: number, out: Uint8Array): number {
  const size = answerSize(command);
  if (size === 0) return -ENOTTY;
  const r = call(u, node, command);
  if (r < 0) return r;
  out.set(argument.subarray(0, Math.min(size, out.length)));
  return Math.min(size, out.length);
}

/** Sets attributes of a file or directory, copied up first: 0, PARK, or -errno. */
export function setFlags(u: Union, node: number, command: number, data: Uint8Array): number {
  if (command !== FS_IOC_SETFLAGS && command !== FS_IOC_FSSETXATTR) return -ENOTTY;
  // With its data: a file that is immutable from now on could not get it later.
  const r = copyUpData(u, node);
  if (r < 0) return r;
  argument.fill(0);
  argument.set(data.subarray(0, argument.length));
  return call(u, node, command);
}

function call(u: Union, node: number, command: number): number {
  const r = u.locate(node);
  if (r < 0) return r;
  const type = u.table.type(node);
  if (type !== DT_DIR && type !== DT_REG) return -ENOTTY;
  const flags = O_RDONLY | O_NONBLOCK | (type === DT_DIR ? O_DIRECTORY : 0);
  const fd = u.atName === "" ? native.reopen(u.atFd, flags) : native.open(u.atFd, u.atName, flags, 0);
  if (fd < 0) return fd;
  const result = native.ioctl(fd, command, argument);
  ignore(native.close(fd), "only an ioctl was made through it");
  return Math.min(result, 0);
}
