import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { processStart } from "../../native/process.js";
import { shown } from "../../text.js";
import { writeJson } from "../atomic.js";
import { containerLock, placesOf, readState } from "../containers.js";
import type { DataRoot } from "../data-root.js";
import { NotFoundError, StoreError } from "../error.js";
import { takeLock } from "../lock.js";
import type { VolumeRecord, VolumeUseRecord } from "../records.js";
import { findVolume, withVolumeLock } from "../volume-records.js";
import { mountsOf } from "../volume-users.js";
import { warn } from "../warn.js";
import { PluginError } from "./call.js";
import { VolumePlugin } from "./plugin.js";

/*
 * Who has a volume mounted by its plugin. Plugins count by ids: for each there is one Mount, and later one Unmount. A record is written before
 * the one and removed after the other, so that whatever is killed in between, the next one who has to do with the volume, or `cowfs system check
 * --repair`, can tell the plugin. Records of a volume change while its lock is held.
 */

/** Somebody who uses volumes. */
export type VolumeUser = Pick<VolumeUseRecord, "id" | "owner">;

/** An id that no plugin has heard of. */
export function newUseId(): string {
  return randomBytes(32).toString("hex");
}

/** This process as a user; with what it mounts over a mountpoint (a path in bytes), for as long as that is there, too. */
export function thisProcess(id = newUseId(), over?: string): VolumeUser {
  const { pid } = process;
  return { id, owner: { pid, processStart: processStart(pid) ?? "", ...(over === undefined ? {} : { over }) } };
}

function useFile(root: DataRoot, id: string, name: string): string {
  return join(root.volumeUses, id, `${name}.json`);
}

/** The start of the machine that goes on now. */
function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** A record; undefined if there is none. One that a crash of the machine has left damaged says nothing: the mount is gone with that. */
function readUse(file: string): VolumeUseRecord | undefined {
  try {
    const value = JSON.parse(readFileSync(file, "utf8")) as Partial<VolumeUseRecord> | null;
    const texts = [value?.volume, value?.driver, value?.id, value?.state, value?.mountpoint];
    const isWhole = value?.schema === 1 && texts.every((text) => typeof text === "string");
    return isWhole ? (value as VolumeUseRecord) : undefined;
  } catch {
    return undefined;
  }
}

function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function usesOfId(root: DataRoot, id: string): VolumeUseRecord[] {
  const directory = join(root.volumeUses, id);
  const files = namesIn(directory).filter((name) => name.endsWith(".json"));
  return files.flatMap((name) => readUse(join(directory, name)) ?? []);
}

/** Who has a volume mounted by its plugin, as far as that is on record; of all volumes, if none is named. */
export function usesOf(root: DataRoot, name?: string): VolumeUseRecord[] {
  const all = namesIn(root.volumeUses).flatMap((id) => usesOfId(root, id));
  return name === undefined ? all : all.filter(({ volume }) => volume === name);
}

/** Where a container has a volume of a plugin; undefined while it does not run. */
export function usedMountpoint(root: DataRoot, id: string, name: string): string | undefined {
  const use = readUse(useFile(root, id, name));
  return use?.state === "mounted" ? use.mountpoint : undefined;
}

/** What is mounted of a volume for a user that is a process: paths for people. */
function mountsOfUse({ mountpoint, owner }: VolumeUseRecord): string[] {
  if (owner === "container" || owner.over === undefined || mountpoint === "") return [];
  const over = shown(owner.over);
  return mountsOf(mountpoint).filter((path) => path === over || path.startsWith(`${over}/`));
}

/** Who has a use that is no container's, and has not left: mountpoints, or a process; for people. */
export function usersOfUse(use: VolumeUseRecord): string[] {
  if (use.owner === "container") return [];
  const mounts = mountsOfUse(use);
  return mounts.length > 0 || !isAlive(use.owner) ? mounts : [`process ${use.owner.pid}`];
}

function isAlive({ pid, processStart: start }: { readonly pid: number; readonly processStart: string }): boolean {
  return processStart(pid) === start;
}

/** Whether nobody is there any more who will end a use. Of a container whose records are damaged that is not known. */
export async function isLeft(root: DataRoot, use: VolumeUseRecord): Promise<boolean> {
  if (use.owner !== "container") return usersOfUse(use).length === 0;
  if (!existsSync(placesOf(root, use.id).config)) return true;
  // Whoever starts it, stops it or looks into it holds its lock.
  const lock = await takeLock(root, containerLock(use.id), { limit: 0 });
  if (lock === undefined) return false;
  try {
    return readState(root, use.id).status !== "running";
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return error instanceof NotFoundError;
  } finally {
    lock.release();
  }
}

/**
 * Has a volume mounted by its plugin for a user, unless that has been done, and returns where. Throws StoreError; whoever asked must call
 * `releaseAll` in any case, since the plugin may have done something.
 */
export function acquire(root: DataRoot, name: string, user: VolumeUser): Promise<string> {
  return withVolumeLock(root, name, async (volume) => {
    const problems = (await releaseLeft(root, name, user.id)).flatMap(({ problem }) => problem ?? []);
    const own = readUse(useFile(root, user.id, name));
    if (own?.state === "mounted") return own.mountpoint;
    if (own !== undefined) {
      const { problem, isOver } = await release(root, own);
      // The plugin would count it once more.
      if (!isOver) throw problem;
      if (problem !== undefined) problems.push(problem);
    }
    let failure: unknown;
    try {
      return await mount(root, volume, user);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      // One that is not there fails here for the same reason.
      for (const { message } of problems) if (message !== (failure as StoreError | undefined)?.message) warn(message);
    }
  });
}

async function mount(root: DataRoot, { name, driver }: VolumeRecord, user: VolumeUser): Promise<string> {
  const file = useFile(root, user.id, name);
  const boot = bootId();
  const use: VolumeUseRecord = { schema: 1, volume: name, driver, ...user, boot, state: "asked", mountpoint: "" };
  mkdirSync(join(root.volumeUses, user.id), { recursive: true, mode: 0o700 });
  writeJson(file, use);
  try {
    const mountpoint = await new VolumePlugin(driver, "needed").mount(name, user.id);
    // Through it, a container could write to what others share: layers, records.
    if (`${mountpoint}/`.startsWith(`${root.path}/`)) {
      const why = `its mountpoint ${mountpoint} is in the data root`;
      throw new PluginError(driver, `VolumeDriver.Mount of ${name}`, "wrong", why);
    }
    writeJson(file, { ...use, state: "mounted", mountpoint });
    return mountpoint;
  } catch (error) {
    // Where nobody knows, `releaseAll` tells it to unmount what it may have mounted.
    if (isNotMounted(error)) forget(root, use);
    throw error;
  }
}

/** Whether a plugin has not been asked to mount, or has refused it. */
function isNotMounted(error: unknown): boolean {
  if (!(error instanceof PluginError)) return error instanceof StoreError;
  return !error.call.startsWith("VolumeDriver.Mount") || error.kind === "absent" || error.kind === "refused";
}

/** How it went to tell a plugin that a use is over: what it refuses is over all the same; one that does not answer is to be told later. */
export type Released =
  | { readonly isOver: true; readonly problem?: StoreError }
  | { readonly isOver: false; readonly problem: StoreError };

/** Tells a plugin that a use is over. The lock of the volume is held. */
async function release(root: DataRoot, use: VolumeUseRecord): Promise<Released> {
  if (readUse(useFile(root, use.id, use.volume)) === undefined) return { isOver: true };
  writeJson(useFile(root, use.id, use.volume), { ...use, state: "leaving" } satisfies VolumeUseRecord);
  try {
    await new VolumePlugin(use.driver, "leaves").unmount(use.volume, use.id);
  } catch (problem) {
    if (!(problem instanceof StoreError)) throw problem;
    const isHeard = problem instanceof PluginError && problem.call.startsWith("VolumeDriver.");
    if (!isHeard || problem.kind === "absent" || problem.kind === "silent") return { problem, isOver: false };
    forget(root, use);
    // It may well refuse where nobody knows whether it has mounted something, and where the machine has been restarted since.
    const isDoubtful = use.mountpoint === "" || use.boot !== bootId();
    return isDoubtful && problem.kind === "refused" ? { isOver: true } : { problem, isOver: true };
  }
  forget(root, use);
  return { isOver: true };
}

function forget(root: DataRoot, { id, volume }: VolumeUseRecord): void {
  rmSync(useFile(root, id, volume), { force: true });
  try {
    rmdirSync(join(root.volumeUses, id));
  } catch {
    // It holds another volume of the same user's.
  }
}

/** Does something with the lock of the volume of a use, if that is still on record. */
async function withUse<T>(root: DataRoot, use: VolumeUseRecord, work: () => Promise<T>): Promise<T> {
  return findVolume(root, use.volume) === undefined ? await work() : await withVolumeLock(root, use.volume, work);
}

/** Ends a use that nobody is left of. */
export function releaseIfLeft(root: DataRoot, use: VolumeUseRecord): Promise<Released> {
  // While the lock is held nobody takes it up again.
  return withUse(root, use, async () => ((await isLeft(root, use)) ? await release(root, use) : { isOver: true }));
}

/**
 * Ends all uses of one user's. Returns what went wrong; the others have been ended, but for those of a plugin that has not answered once. Costs
 * one system call if there are none.
 */
export async function releaseAll(root: DataRoot, id: string): Promise<StoreError[]> {
  const problems: StoreError[] = [];
  const silent = new Set<string>();
  for (const use of usesOfId(root, id)) {
    if (silent.has(use.driver)) continue;
    try {
      const { problem, isOver } = await withUse(root, use, () => release(root, use));
      if (problem !== undefined) problems.push(problem);
      if (!isOver) silent.add(use.driver);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      problems.push(error);
    }
  }
  return problems;
}

/**
 * Ends the uses of a volume that nobody is left of, but for one user's; where the plugin does not answer, no more of them. Returns how that went.
 * The lock of the volume is held.
 */
export async function releaseLeft(root: DataRoot, name: string, but?: string): Promise<Released[]> {
  const released: Released[] = [];
  for (const use of usesOf(root, name)) {
    if (use.id === but || !(await isLeft(root, use))) continue;
    const one = await release(root, use);
    released.push(one);
    if (!one.isOver) break;
  }
  return released;
}

/** Drops records of a volume that is given up without its plugin. */
export function forgetUses(root: DataRoot, uses: readonly VolumeUseRecord[]): void {
  for (const use of uses) forget(root, use);
}
