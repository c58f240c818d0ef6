import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publish, writeJson } from "./atomic.js";
import { type DataRoot, reason } from "./data-root.js";
import { NotFoundError, StoreError } from "./error.js";
import { storeLock, withLock } from "./lock.js";
import { checkName } from "./names.js";
import type { VolumeRecord } from "./records.js";
import { makeTemporary } from "./temporary.js";
import { unmountVolume } from "./volume-mounts.js";
import { checkVolumeOptions } from "./volume-options.js";
import { volumeDirectory } from "./volume-places.js";
import { volumeUsers } from "./volume-users.js";

/** The label of a volume that nobody named; its value is empty. */
export const anonymousLabel = "com.docker.volume.anonymous";

/** The driver of volumes that are directories of the data root, or what mount(2) can mount. */
export const localDriver = "local";

export interface VolumeWish {
  readonly driver?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
}

export function isAnonymous(volume: VolumeRecord): boolean {
  return Object.hasOwn(volume.labels, anonymousLabel);
}

/**
 * The volume of this name, made if there is none; with the driver that is asked for, if one is. Labels and options count for a new volume
 * only. Throws StoreError.
 */
export async function ensureVolume(root: DataRoot, name: string, wish: VolumeWish = {}): Promise<VolumeRecord> {
  checkName(name, "volume");
  const existing = findVolume(root, name);
  if (existing !== undefined) return sameDriver(existing, wish);
  const driver = wish.driver ?? localDriver;
  if (driver !== localDriver) {
    throw new StoreError(
      `create ${name}: the volume driver "${driver}" is not known: leave it out, or use ${localDriver}`,
    );
  }
  const record: VolumeRecord = {
    schema: 1,
    name,
    driver,
    created: new Date().toISOString(),
    labels: wish.labels ?? {},
    options: wish.options ?? {},
  };
  checkVolumeOptions(name, record.options);
  const temporary = await makeTemporary(root, "volume");
  try {
    const built = join(temporary.path, name);
    mkdirSync(built, { mode: 0o711 });
    mkdirSync(join(built, "_data"), { mode: 0o755 });
    writeJson(join(built, "volume.json"), record);
    publish(built, volumeDirectory(root, name));
    return record;
  } catch (cause) {
    // Another command has made it meanwhile: a directory that has something in it cannot be replaced by a rename.
    const other = findVolume(root, name);
    if (other !== undefined) return sameDriver(other, wish);
    throw new StoreError(`the volume ${name} cannot be created: ${reason(cause)}`, { cause });
  } finally {
    temporary.dispose();
  }
}

/** A new volume with a name of 64 random hexadecimal digits, which `--rm` and `volume prune` remove. */
export function createAnonymousVolume(root: DataRoot, wish: VolumeWish = {}): Promise<VolumeRecord> {
  const labels = { ...wish.labels, [anonymousLabel]: "" };
  return ensureVolume(root, randomBytes(32).toString("hex"), { ...wish, labels });
}

function sameDriver(existing: VolumeRecord, { driver }: VolumeWish): VolumeRecord {
  if (driver === undefined || driver === existing.driver) return existing;
  throw new StoreError(
    `create ${existing.name}: conflict: volume name must be unique: the volume exists with the driver "${existing.driver}"`,
  );
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

/** Removes a volume and what is in it. Throws NotFoundError, and StoreError if a container or a mount uses it. */
export async function removeVolume(root: DataRoot, name: string): Promise<void> {
  readVolume(root, name);
  const temporary = await makeTemporary(root, "gone");
  try {
    await withLock(root, storeLock, () => {
      const users = volumeUsers(root, name);
      if (users.length > 0) throw new StoreError(`remove ${name}: volume is in use - [${users.join(", ")}]`);
      unmountVolume(root, name);
      publish(volumeDirectory(root, name), join(temporary.path, name));
    });
  } finally {
    temporary.dispose();
  }
}
