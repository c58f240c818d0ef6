import type { Stat } from "../layer/stat.js";
import {
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
} from "../native/constants.js";
import type { PlannedMount } from "./plan.js";

/** Flags that belong to a mount, and what takes them back. */
const attributeBits: Readonly<Record<string, number>> = {
  noexec: MOUNT_ATTR_NOEXEC,
  nosuid: MOUNT_ATTR_NOSUID,
  nodev: MOUNT_ATTR_NODEV,
  noatime: MOUNT_ATTR_NOATIME,
  strictatime: MOUNT_ATTR_STRICTATIME,
  nodiratime: MOUNT_ATTR_NODIRATIME,
};

/** Flags that belong to the file system. */
const fileSystemFlags = new Set(["sync", "dirsync"]);

/** The MOUNT_ATTR_* bits of a tmpfs: of contradictory flags the last one wins. */
export function tmpfsAttributes({ flags, readOnly }: Pick<PlannedMount, "flags" | "readOnly">): number {
  let attributes = readOnly ? MOUNT_ATTR_RDONLY : 0;
  for (const flag of flags) {
    const opposite = attributeBits[`no${flag}`] ?? (flag === "relatime" || flag === "atime" ? atimeBits : 0);
    if (flag === "strictatime" || flag === "noatime") attributes &= ~atimeBits;
    attributes = (attributes & ~opposite) | (attributeBits[flag] ?? 0);
  }
  return attributes;
}

const atimeBits = MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME;

/**
 * What the file system itself is told. Where a directory is covered, its owner and mode stay, unless the user names others; in a new place a
 * tmpfs is as the kernel makes it, 1777.
 */
export function tmpfsOptions({ flags, data }: Pick<PlannedMount, "flags" | "data">, covered: Stat | undefined): string {
  const given = new Set(data.map((option) => option.split("=")[0]));
  const kept: string[] = [];
  if (covered !== undefined) {
    if (!given.has("mode")) kept.push(`mode=${(covered.mode & 0o7777).toString(8)}`);
    if (!given.has("uid")) kept.push(`uid=${covered.uid}`);
    if (!given.has("gid")) kept.push(`gid=${covered.gid}`);
  }
  return ["source=tmpfs", ...kept, ...flags.filter((flag) => fileSystemFlags.has(flag)), ...data].join(",");
}
