import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type Mount, parseMountinfo } from "../native/mountinfo.js";
import { bytesOf, shown } from "../text.js";
import type { DataRoot } from "./data-root.js";
import type { ContainerRecord } from "./records.js";

/**
 * Who uses a volume: the names of containers whose records mention it, running or not, and the mountpoints that show it. It is asked of the
 * records and of the kernel each time: a number kept somewhere would be wrong after a crash.
 */
export function volumeUsers(root: DataRoot, name: string): string[] {
  return [...(containersByVolume(root).get(name) ?? []), ...mountsOf(join(root.volumes, name, "_data"))];
}

/** The names of the containers that use each volume. */
export function containersByVolume(root: DataRoot): Map<string, string[]> {
  const users = new Map<string, string[]>();
  for (const id of readdirSync(root.containers)) {
    const record = containerRecord(join(root.containers, id, "config.json"));
    for (const { type, source } of record?.mounts ?? []) {
      if (type !== "volume" || source === undefined) continue;
      const names = users.get(source) ?? [];
      if (!names.includes(record?.name ?? id)) names.push(record?.name ?? id);
      users.set(source, names);
    }
  }
  return users;
}

/** A record that is missing or damaged names no volume; `cowfs system check` finds it. */
function containerRecord(file: string): ContainerRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(file, "utf8")) as Partial<ContainerRecord> | null;
    return Array.isArray(record?.mounts) && typeof record.name === "string" ? (record as ContainerRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** The mount tables of all mount namespaces that can be seen, each once. */
function mountTables(): Mount[][] {
  const tables: Mount[][] = [];
  const seen = new Set<string>();
  for (const pid of ["self", ...readdirSync("/proc").filter((name) => /^\d+$/.test(name))]) {
    try {
      const namespace = readlinkSync(`/proc/${pid}/ns/mnt`);
      if (seen.has(namespace)) continue;
      const text = readFileSync(`/proc/${pid}/mountinfo`, "latin1");
      seen.add(namespace);
      tables.push(parseMountinfo(text));
    } catch {
      // It ended meanwhile, or belongs to another user.
    }
  }
  return tables;
}

/** A directory as mount tables call it: the file system, and the path within. */
interface Place {
  readonly device: string;
  readonly path: string;
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

function placeOf(path: string, mounts: readonly Mount[]): Place | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    if (isWithin(path, mount.mountpoint) && mount.mountpoint.length >= (best?.mountpoint.length ?? 0)) best = mount;
  }
  if (best === undefined) return undefined;
  const rest = path.slice(best.mountpoint === "/" ? 0 : best.mountpoint.length);
  return { device: `${best.major}:${best.minor}`, path: `${best.root === "/" ? "" : best.root}${rest}` || "/" };
}

/**
 * The mountpoints, in any mount namespace, that show a directory or what is below it: mounts of `cowfs mount -v`, and of processes whose
 * records are gone. Where the directory is itself a mountpoint, that mount is not meant.
 */
export function mountsOf(directory: string): string[] {
  const [own = [], ...others] = mountTables();
  const path = bytesOf(directory);
  const place = placeOf(path, own);
  if (place === undefined) return [];
  const found = new Set<string>();
  for (const mount of [own, ...others].flat()) {
    if (mount.mountpoint === path || `${mount.major}:${mount.minor}` !== place.device) continue;
    if (isWithin(mount.root, place.path)) found.add(mount.mountpoint);
  }
  return [...found].map(shown);
}
