import { existsSync, readFileSync, statfsSync } from "node:fs";
import { release } from "node:os";
import { findTool } from "../../assemble/runtime.js";
import { errnoName } from "../../errno.js";
import { AT_FDCWD, O_RDWR } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { readMounts } from "../../native/mountinfo.js";

/** Something that the machine has or lacks, with what that means where it is lacking. */
export interface Offer {
  readonly Name: string;
  readonly Available: boolean;
  readonly Detail: string;
}

/** The mount that a path lies on. */
export function backing(path: string) {
  const bytes = Buffer.from(path, "utf8").toString("latin1");
  const mount = readMounts()
    .filter(({ mountpoint }) => bytes === mountpoint || bytes.startsWith(mountpoint === "/" ? "/" : `${mountpoint}/`))
    .reduce((best, next) => (next.mountpoint.length >= best.mountpoint.length ? next : best));
  const { bsize, blocks, bavail } = statfsSync(path);
  return {
    Type: mount.type,
    Source: Buffer.from(mount.source, "latin1").toString("utf8"),
    Mountpoint: Buffer.from(mount.mountpoint, "latin1").toString("utf8"),
    Total: bsize * blocks,
    Available: bsize * bavail,
  };
}

/** The programs that can run a container, by name, with their paths, in the order in which `--runtime auto` looks for them. */
export function foundRuntimes(): { Name: string; Path: string }[] {
  return ["crun", "runc", "unshare"].flatMap((name) => {
    const path = findTool(name);
    return path === undefined ? [] : [{ Name: name, Path: path }];
  });
}

/** Whether the kernel's version, as `uname -r` says it, is at least this. */
function isKernel(major: number, minor: number, version = release()): boolean {
  const [a = 0, b = 0] = version.split(/[.-]/).map(Number);
  return a > major || (a === major && b >= minor);
}

/** What cowfs can use of this machine; `path` is the data root. Nothing is mounted to find out. */
export function offers(path: string): Offer[] {
  const fuse = native.open(AT_FDCWD, "/dev/fuse", O_RDWR, 0);
  if (fuse >= 0) native.close(fuse);
  const isRoot = process.geteuid?.() === 0;
  const trusted = attributesOf(path, "trusted.cowfs.probe");
  const user = attributesOf(path, "user.cowfs.probe");
  const offer = (name: string, available: boolean, otherwise: string, detail = ""): Offer => ({
    Name: name,
    Available: available,
    Detail: available ? detail : otherwise,
  });
  return [
    offer("fuse", fuse >= 0, `/dev/fuse cannot be opened (${errnoName(fuse)}): nothing can be mounted`),
    offer(
      "passthrough",
      isRoot && isKernel(6, 9),
      isRoot ? "needs Linux 6.9" : "needs root: files are read and written by the driver",
    ),
    offer("cache release", isKernel(6, 18), "needs Linux 6.18: opens of files may stay messages"),
    offer(
      "trusted attributes",
      trusted,
      user ? "marks are user.overlay. attributes" : "the file system has no attributes at all",
    ),
    offer("user attributes", user, "the file system has none"),
    offer(
      "overlay",
      /\boverlay$/m.test(readFileSync("/proc/filesystems", "latin1")),
      "the kernel has not loaded it: cowfs does not need it",
    ),
    offer("user namespaces", existsSync("/proc/self/ns/user"), "the kernel has none"),
  ];
}

function attributesOf(path: string, name: string): boolean {
  const bytes = Buffer.from(path, "utf8").toString("latin1");
  const done = native.setxattr(AT_FDCWD, bytes, name, Buffer.from("y"), 0) === 0;
  return done && native.removexattr(AT_FDCWD, bytes, name) === 0;
}
