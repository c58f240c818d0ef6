import { mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { type Mount, readMounts } from "../native/mountinfo.js";
import { processStart } from "../native/process.js";
import type { IdRange } from "../union/id-map.js";
import type { OwnershipOptions } from "../union/ownership.js";
import { isInside } from "../union/paths.js";
import { fileSystemType, type Log, type MountConfig, type VolumeUses } from "./config.js";

/** What a driver leaves in a file while it runs. Paths are bytes in latin1 strings. */
export interface MountState {
  readonly pid: number;
  /** When the process began, in clock ticks since boot (proc(5), stat field 22): a pid alone may be another's by now. */
  readonly processStart: string;
  readonly mountpoint: string;
  readonly lowers: readonly string[];
  readonly dataLowers?: readonly string[];
  readonly upper?: string;
  readonly work?: string;
  readonly options: readonly string[];
  /** What is mounted over it was mounted with it. */
  readonly covered?: boolean;
  readonly volumeUses?: VolumeUses;
  /** When the mount began to answer, ISO 8601. */
  readonly started: string;
}

/** A mount of cowfs that the kernel knows, with what its driver says of itself if that driver lives. */
export interface LiveMount {
  readonly mountpoint: string;
  readonly source: string;
  readonly readOnly: boolean;
  /** The device number's minor part; its major part is 0. */
  readonly minor: number;
  readonly mountOptions: string;
  readonly state?: MountState;
}

/** Where drivers keep their state: for all users where that is allowed, and for one user. */
function stateDirectories(): string[] {
  const own = process.env["XDG_RUNTIME_DIR"];
  const directories = process.geteuid?.() === 0 ? ["/run/cowfs"] : [];
  if (own?.startsWith("/")) directories.push(join(own, "cowfs"));
  return directories;
}

/** A directory for the state files of drivers: its name, and a path that leads there whatever comes to be mounted over the name. */
export interface StatePlace {
  readonly directory: string;
  readonly path: string;
}

/**
 * Where the state file of a mount may go: to be called before the mount. What that will cover is opened, for as long as this process runs; nothing
 * else is, since an open directory keeps its file system mounted.
 */
export function openStatePlaces(mountpoint: string, log: Log): StatePlace[] {
  return stateDirectories().flatMap((directory) => {
    if (!isInside(directory, mountpoint)) return [{ directory, path: directory }];
    try {
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      return [{ directory, path: `/proc/self/fd/${openSync(directory, O_PATH | O_DIRECTORY)}` }];
    } catch (error) {
      log("debug", "no state file here", { path: directory, error: String(error) });
      return [];
    }
  });
}

function optionsOf(config: MountConfig): string[] {
  const options = [config.readOnly || config.upper === undefined ? "ro" : "rw", `xino=${config.xino}`];
  if (config.allowOther) options.push("allow_other");
  if (config.defaultPermissions) options.push("default_permissions");
  if (config.strict === true) options.push("strict");
  if (config.volatile) options.push("volatile");
  if (config.syncsCopies) options.push("fsync=strict");
  if (config.metacopy !== undefined) options.push(`metacopy=${config.metacopy ? "on" : "off"}`);
  if (config.index !== undefined) options.push(`index=${config.index ? "on" : "off"}`);
  if (config.redirectDir !== undefined) options.push(`redirect_dir=${config.redirectDir}`);
  if (config.verity !== undefined) options.push(`verity=${config.verity}`);
  if (config.transport === "kernel") options.push(`io=${config.io}`);
  if (config.ownership !== undefined) options.push(...ownershipOptions(config.ownership));
  if (config.transport !== "kernel") options.push(`transport=${config.transport}`);
  return options;
}

function ownershipOptions(asked: OwnershipOptions): string[] {
  const ranges = (list: readonly IdRange[]) => list.map((one) => `${one.onDisk}:${one.shown}:${one.length}`).join(":");
  const options: string[] = [];
  if (asked.uids.length > 0) options.push(`uidmapping=${ranges(asked.uids)}`);
  if (asked.gids.length > 0) options.push(`gidmapping=${ranges(asked.gids)}`);
  if (asked.squashUid >= 0) options.push(`squash_to_uid=${asked.squashUid}`);
  if (asked.squashGid >= 0) options.push(`squash_to_gid=${asked.squashGid}`);
  if (asked.xattrPermissions !== 0) options.push(`xattr_permissions=${asked.xattrPermissions}`);
  return options;
}

/**
 * Writes the state file of the mount with this device minor number, atomically, to the first of `places` that takes it. `quota`: who keeps the limit on its
 * upper. Returns its path, or undefined where none does: the mount works without, and only `mounts` says less about it.
 *
 * The name holds the driver's pid, too: the number is free for the next mount as soon as this one is off, and that driver may
 * write its file before this one, which has an upper to close first, removes its own.
 */
export function writeState(
  config: MountConfig,
  minor: number,
  log: Log,
  places: readonly StatePlace[],
  quota?: "counted" | "project",
): string | undefined {
  const state: MountState = {
    pid: process.pid,
    processStart: processStart(process.pid) ?? "",
    mountpoint: config.mountpoint,
    lowers: config.lowers,
    ...(config.dataLowers === undefined ? {} : { dataLowers: config.dataLowers }),
    ...(config.upper === undefined ? {} : { upper: config.upper }),
    ...(config.work === undefined ? {} : { work: config.work }),
    options: [...optionsOf(config), ...(quota === undefined ? [] : [`size=${config.size}`, `quota=${quota}`])],
    ...(config.covered === true ? { covered: true } : {}),
    ...(config.volumeUses === undefined ? {} : { volumeUses: config.volumeUses }),
    started: new Date().toISOString(),
  };
  for (const { directory, path: place } of places) {
    const path = join(place, `${minor}.${process.pid}.json`);
    const temporary = `${path}.new`;
    try {
      const text = `${JSON.stringify(state)}\n`;
      try {
        writeFileSync(temporary, text, { mode: 0o644 });
      } catch {
        mkdirSync(place, { recursive: true, mode: 0o755 });
        writeFileSync(temporary, text, { mode: 0o644 });
      }
      renameSync(temporary, path);
      return path;
    } catch (error) {
      log("debug", "no state file here", { path: directory, error: String(error) });
    }
  }
  return undefined;
}

/**
 * Removes what earlier drivers left beside the state file `path`, of mounts that had this number. One that lives removes its own; and it may be a
 * later one, if this mount is off already.
 */
export function removeOldStates(path: string, minor: number): void {
  for (const left of stateFiles(dirname(path))) {
    if (left.minor !== minor || left.path === path) continue;
    const state = readState(left.path);
    if (state === undefined || !isAlive(state)) rmSync(left.path, { force: true });
  }
}

/** Removes the state file that `writeState` wrote. */
export function removeState(path: string, log: Log): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    // Its file system has become read-only, or is a mount that has gone.
    log("debug", "the state file stays", { path, error: String(error) });
  }
}

/** The state files of a directory; none if there is no such directory. */
function stateFiles(directory: string): { path: string; minor: number }[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const minor = /^(\d+)\.\d+\.json$/.exec(name)?.[1];
    return minor === undefined ? [] : [{ path: join(directory, name), minor: Number(minor) }];
  });
}

function readState(path: string): MountState | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    return isState(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the driver that wrote a state file lives. */
function isAlive(state: MountState): boolean {
  const start = processStart(state.pid);
  return start !== undefined && start === state.processStart;
}

function isState(value: unknown): value is MountState {
  if (typeof value !== "object" || value === null) return false;
  const state = value as Partial<MountState>;
  return (
    typeof state.pid === "number" &&
    typeof state.mountpoint === "string" &&
    Array.isArray(state.lowers) &&
    typeof state.started === "string"
  );
}

/** Of two states of one number the later: the other driver's mount is gone, and it is about to remove its own. */
function later(one: MountState | undefined, other: MountState): MountState {
  return one === undefined || one.started < other.started ? other : one;
}

/** What the driver of a mount on record has left, whether it lives or was killed. */
export function leftState({ minor, mountpoint }: LiveMount): MountState | undefined {
  let found: MountState | undefined;
  for (const file of stateDirectories().flatMap(stateFiles)) {
    const state = file.minor === minor ? readState(file.path) : undefined;
    if (state?.mountpoint === mountpoint) found = later(found, state);
  }
  return found;
}

/** The states of drivers that live, by the minor device number of their mounts. */
function liveStates(): Map<number, MountState> {
  const states = new Map<number, MountState>();
  for (const { path, minor } of stateDirectories().flatMap(stateFiles)) {
    const state = readState(path);
    if (state !== undefined && isAlive(state)) states.set(minor, later(states.get(minor), state));
  }
  return states;
}

function liveMount(mount: Mount, states: Map<number, MountState>): LiveMount {
  const state = states.get(mount.minor);
  return {
    mountpoint: mount.mountpoint,
    source: mount.source,
    readOnly: mount.superOptions.split(",").includes("ro") || mount.options.split(",").includes("ro"),
    minor: mount.minor,
    mountOptions: mount.options,
    ...(state === undefined ? {} : { state }),
  };
}

/**
 * The cowfs mounts in this mount namespace, in the kernel's order, joined with what their drivers wrote. No mount is
 * touched, so one whose driver hangs or is dead does no harm. State files whose driver is gone are passed over.
 */
export function liveMounts(): LiveMount[] {
  const states = liveStates();
  return readMounts()
    .filter((mount) => mount.type === fileSystemType)
    .map((mount) => liveMount(mount, states));
}
