import { readFileSync } from "node:fs";

/** One line of /proc/self/mountinfo (proc(5)). Paths are bytes in latin1 strings. */
export interface Mount {
  readonly id: number;
  /** The mount that it is mounted on. */
  readonly parent: number;
  readonly major: number;
  readonly minor: number;
  /** The directory of the file system that the mount shows: "/" unless it is a bind mount of a part. */
  readonly root: string;
  readonly mountpoint: string;
  readonly options: string;
  /** What the mount shares: `shared:N`, `master:N`, `propagate_from:N`, `unbindable`; empty for a private one. */
  readonly tags: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: string;
}

/** Undoes the octal escapes (`\040` for a space) of the kernel's mount tables. */
export function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Parses the text of a mountinfo file, in its order: of two mounts on one path the later one is on top. Only lines that hold `part` count. */
export function parseMountinfo(text: string, part = ""): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split("\n")) {
    if (!line.includes(part)) continue;
    // Optional fields of any number stand between the sixth and a lone dash.
    const [left, right] = line.split(" - ", 2);
    if (left === undefined || right === undefined) continue;
    const [id, parent, device, root, mountpoint, options, ...tags] = left.split(" ");
    const [type, source, superOptions] = right.split(" ");
    if (root === undefined || mountpoint === undefined || type === undefined) continue;
    const [major, minor] = (device ?? "").split(":");
    mounts.push({
      id: Number(id),
      parent: Number(parent),
      major: Number(major),
      minor: Number(minor),
      root: unescapeOctal(root),
      mountpoint: unescapeOctal(mountpoint),
      options: options ?? "",
      tags,
      type,
      source: unescapeOctal(source ?? ""),
      superOptions: superOptions ?? "",
    });
  }
  return mounts;
}

/** The mounts of this process's namespace, or those whose line holds `part`. Reading the table asks no file system anything. */
export function readMounts(part?: string): Mount[] {
  return parseMountinfo(readFileSync("/proc/self/mountinfo", "latin1"), part);
}

/** The mount that a path name reaches: the last one on that very path. */
export function topMountOn(mountpoint: string): Mount | undefined {
  // What the kernel may write in another way is compared line by line.
  const part = /^[\w/.-]*$/.test(mountpoint) ? ` ${mountpoint} ` : undefined;
  return readMounts(part).findLast((mount) => mount.mountpoint === mountpoint);
}
