import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publish, writeJson } from "./atomic.js";
import { type DataRoot, reason } from "./data-root.js";
import { NotFoundError, StoreError } from "./error.js";
import { type Lock, lockDirectory } from "./lock.js";
import { checkName } from "./names.js";
import type { VolumeRecord } from "./records.js";
import { makeTemporary } from "./temporary.js";
import { volumeDirectory } from "./volume-places.js";

/** The label of a volume that nobody named; its value is empty. */
export const anonymousLabel = "com.docker.volume.anonymous";

/** The driver of volumes that are directories of the data root, or what mount(2) can mount. */
export const localDriver = "local";

export function isAnonymous(volume: VolumeRecord): boolean {
  return Object.hasOwn(volume.labels, anonymousLabel);
}

/** The record of a volume, or undefined if there is none. Throws StoreError if it is damaged. */
export function findVolume(root: DataRoot, name: string): VolumeRecord | undefined {
  checkName(name, "volume");
  const file = join(volumeDirectory(root, name), "volume.json");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StoreError(`${file} cannot be read: ${reason(cause)}`, { cause });
  }
  const record = parsed(text);
  if (record === undefined || record.name !== name) {
    throw new StoreError(`${file} is damaged: it is no record of the volume ${name}`);
  }
  return record;
}

function parsed(text: string): VolumeRecord | undefined {
  try {
    const value = JSON.parse(text) as Partial<VolumeRecord> | null;
    const isRecord =
      value?.schema === 1 &&
      [value.name, value.driver, value.created].every((field) => typeof field === "string") &&
      [value.labels, value.options].every((field) => typeof field === "object" && field !== null);
    return isRecord ? (value as VolumeRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** The record of a volume. Throws NotFoundError if there is none. */
export function readVolume(root: DataRoot, name: string): VolumeRecord {
  const record = findVolume(root, name);
  if (record === undefined) throw new NotFoundError(`get ${name}: no such volume`);
  return record;
}

/** All volumes, in no order. */
export function listVolumes(root: DataRoot): VolumeRecord[] {
  return readdirSync(root.volumes).flatMap((name) => {
    if (!existsSync(join(root.volumes, name, "volume.json"))) return [];
    return findVolume(root, name) ?? [];
  });
}

/** Makes a volume of a record. One of that name that another command has made meanwhile is returned in its place. Throws StoreError. */
export async function publishVolume(root: DataRoot, record: VolumeRecord): Promise<VolumeRecord> {
  const { name } = record;
  const temporary = await makeTemporary(root, "volume");
  try {
    const built = join(temporary.path, name);
    mkdirSync(built, { mode: 0o711 });
    if (record.driver === localDriver) mkdirSync(join(built, "_data"), { mode: 0o755 });
    writeJson(join(built, "volume.json"), record);
    publish(built, volumeDirectory(root, name));
    return record;
  } catch (cause) {
    // A directory that has something in it cannot be replaced by a rename.
    const other = findVolume(root, name);
    if (other !== undefined) return other;
    throw new StoreError(`the volume ${name} cannot be created: ${reason(cause)}`, { cause });
  } finally {
    temporary.dispose();
  }
}

/** Does something while nobody else fills, mounts or removes this volume. Throws NotFoundError if it is gone. */
export async function withVolumeLock<T>(
  root: DataRoot,
  name: string,
  work: (volume: VolumeRecord) => T | Promise<T>,
): Promise<T> {
  readVolume(root, name);
  const lock = (await lockDirectory(volumeDirectory(root, name))) as Lock;
  try {
    return await work(readVolume(root, name));
  } finally {
    lock.release();
  }
}
