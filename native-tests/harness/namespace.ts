import { readFileSync, readlinkSync } from "node:fs";

/** One line of /proc/self/mountinfo; reading it touches no mount. */
export interface MountInfo {
  readonly mountpoint: string;
  /** `major:minor` of st_dev; the minor is the number of a FUSE connection. */
  readonly device: string;
  readonly type: string;
  readonly source: string;
  /** Of the mount, and of the super block. */
  readonly options: string;
  readonly superOptions: string;
}

/** Undoes the octal escapes of mountinfo. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** The mounts of this process, oldest first. */
export function mountInfo(): MountInfo[] {
  return readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [left = "", right = ""] = line.split(" - ");
      const fields = left.split(" ");
      const [type = "", source = "", superOptions = ""] = right.split(" ");
      return {
        device: fields[2] ?? "",
        mountpoint: unescapeField(fields[4] ?? ""),
        options: fields[5] ?? "",
        type,
        source: unescapeField(source),
        superOptions,
      };
    });
}

/** The topmost mount at a path. */
export function mountAt(path: string): MountInfo | undefined {
  return mountInfo().findLast((mount) => mount.mountpoint === path);
}

/** Whether some ancestor lives in another mount namespace than this process. */
function ancestorsDiffer(): boolean {
  const own = readlinkSync("/proc/self/ns/mnt");
  for (let pid = process.ppid; pid > 0; ) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/mnt`) !== own) {
        return true;
      }
      pid = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0);
    } catch {
      return false; // what cannot be read says nothing
    }
  }
  return false;
}

/** Refuses to go on where a mount would be seen by the rest of the machine, or where this process may not mount. */
export function requirePrivateNamespace(): void {
  const advice = "run them with: unshare -m --propagation private npx vitest run --project native";
  if (process.getuid?.() !== 0) {
    throw new Error(`the tests on mounts need root; ${advice}`);
  }
  const shared = readFileSync("/proc/self/mountinfo", "latin1").includes(" shared:");
  if (shared || !ancestorsDiffer()) {
    throw new Error(`the tests on mounts need a mount namespace of their own; ${advice}`);
  }
}
