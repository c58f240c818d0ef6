import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Mount } from "../native/mountinfo.js";
import { fileSystemType } from "../session/config.js";

/** A process that uses a mount. */
export interface Holder {
  readonly pid: number;
  /** The name of its program, as bytes. */
  readonly command: string;
  /** What it has there: its working directory, an open file, … with the path, as bytes. */
  readonly use: string;
}

/**
 * The processes that keep a mount busy, by what /proc says of them; those that cannot be looked into are left out. No path
 * is followed, so a mount whose driver is dead does no harm.
 */
export function holdersOf(mount: Mount): Holder[] {
  const holders: Holder[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const use = useOf(`/proc/${pid}`, mount);
    if (use !== undefined) holders.push({ pid, command: read(`/proc/${pid}/comm`).trim(), use });
  }
  return holders;
}

function useOf(proc: string, { mountpoint, id: mountId, type, major, minor }: Mount): string | undefined {
  for (const [link, what] of [
    ["cwd", "works in"],
    ["root", "has its root in"],
  ] as const) {
    const path = target(`${proc}/${link}`);
    if (isBelow(path, mountpoint)) return `${what} ${path}`;
  }
  for (const fd of list(`${proc}/fd`)) {
    // The mount id tells this mount from one that covers it, and finds files that are open through no path any more.
    const id = /^mnt_id:\s+(\d+)/m.exec(read(`${proc}/fdinfo/${fd}`))?.[1];
    if (id !== undefined && Number(id) === mountId) return `has ${target(`${proc}/fd/${fd}`)} open`;
  }
  const program = target(`${proc}/exe`);
  for (const line of read(`${proc}/maps`).split("\n")) {
    const [, device = "", path = ""] = /^\S+ \S+ \S+ ([0-9a-f]+:[0-9a-f]+) \d+ +(\/.*)$/.exec(line) ?? [];
    if (!isBelow(path, mountpoint)) continue;
    // The path may be that of what the mount covers. Not every file system has its files on the device that its mounts name.
    const isOwn = device.split(":").every((part, index) => Number.parseInt(part, 16) === [major, minor][index]);
    if (type === fileSystemType && !isOwn) continue;
    return path === program ? `runs ${path}` : `has ${path} mapped`;
  }
  return undefined;
}

function isBelow(path: string, mountpoint: string): boolean {
  return path === mountpoint || path.startsWith(`${mountpoint}/`);
}

function target(link: string): string {
  try {
    return readlinkSync(link, { encoding: "latin1" });
  } catch {
    return "";
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
