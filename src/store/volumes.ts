import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { publish } from "./atomic.js";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import { changedSince, type FilledVolumes, type LastChange } from "./filled-volume.js";
import { lockDirectory, storeLock, withLock } from "./lock.js";
import { checkName } from "./names.js";
import type { VolumeRecord } from "./records.js";
import { makeTemporary } from "./temporary.js";
import { createOnPlugin } from "./volume-drivers/create.js";
import { findVolumeAnywhere, readVolumeAnywhere } from "./volume-drivers/lookup.js";
import { removeOnPlugin } from "./volume-drivers/remove.js";
import { acquire, releaseAll, thisProcess, type VolumeUser } from "./volume-drivers/uses.js";
import { mountVolume, unmountVolume } from "./volume-mounts.js";
import { checkVolumeOptions } from "./volume-options.js";
import { volumeData, volumeDirectory } from "./volume-places.js";
import { anonymousLabel, findVolume, isAnonymous, localDriver, publishVolume } from "./volume-records.js";
import { volumeUsers } from "./volume-users.js";
import { warn } from "./warn.js";

export interface VolumeWish {
  readonly driver?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
}

/**
 * The volume of this name, made if there is none; with the driver that is asked for, if one is. Labels and options count for a new volume
 * only. One that this call has made is added to `made`. Throws StoreError.
 */
export async function ensureVolume(
  root: DataRoot,
  name: string,
  wish: VolumeWish = {},
  made: VolumeRecord[] = [],
): Promise<VolumeRecord> {
  checkName(name, "volume");
  const existing = wish.driver === undefined ? await findVolumeAnywhere(root, name) : findVolume(root, name);
  if (existing !== undefined) return sameDriver(existing, wish);
  const record: VolumeRecord = {
    schema: 1,
    name,
    driver: wish.driver ?? localDriver,
    created: new Date().toISOString(),
    labels: wish.labels ?? {},
    options: wish.options ?? {},
  };
  if (record.driver === localDriver) checkVolumeOptions(name, record.options);
  const volume = await (record.driver === localDriver ? publishVolume(root, record) : createOnPlugin(root, record));
  if (volume === record) made.push(volume);
  return sameDriver(volume, wish);
}

/** A new volume with a name of 64 random hexadecimal digits, which `--rm` and `volume prune` remove. */
export function createAnonymousVolume(
  root: DataRoot,
  wish: VolumeWish = {},
  made: VolumeRecord[] = [],
): Promise<VolumeRecord> {
  const labels = { ...wish.labels, [anonymousLabel]: "" };
  // No plugin can have it.
  const driver = wish.driver ?? localDriver;
  return ensureVolume(root, randomBytes(32).toString("hex"), { ...wish, driver, labels }, made);
}

function sameDriver(existing: VolumeRecord, { driver }: VolumeWish): VolumeRecord {
  if (driver === undefined || driver === existing.driver) return existing;
  throw new StoreError(
    `create ${existing.name}: conflict: volume name must be unique: the volume exists with the driver "${existing.driver}"`,
  );
}

/**
 * Removes volumes that were made for something which did not come to be. A named one of a plugin stays: the plugin may have had it before. So does
 * one that somebody else may have taken up: he uses it or fills it, or something is in it but what the same command has put there (`filled`).
 */
export async function unmakeVolumes(
  root: DataRoot,
  made: readonly VolumeRecord[],
  filled: FilledVolumes = new Map(),
): Promise<void> {
  for (const volume of made) {
    if (isAnonymous(volume)) await removeVolume(root, volume.name);
    else if (volume.driver === localDriver) await unmakeNamed(root, volume, filled.get(volume.name));
  }
}

async function unmakeNamed(
  root: DataRoot,
  { name, created }: VolumeRecord,
  filled: LastChange | undefined,
): Promise<void> {
  await takeAway(root, name, async (remove) => {
    // Somebody has removed it, and may have made it anew.
    if (findVolume(root, name)?.created !== created) return;
    // Whoever fills it has this lock; it is not waited for, since the lock `store` is held.
    const lock = await lockDirectory(volumeDirectory(root, name), { limit: 0 });
    if (lock === undefined) return;
    try {
      if (isUntouched(root, name, filled) && volumeUsers(root, name).length === 0) remove();
    } finally {
      lock.release();
    }
  });
}

/** Whether nothing has been put into a volume, or nothing since it was filled, nor, by a command that was killed, beside its content. */
function isUntouched(root: DataRoot, name: string, filled: LastChange | undefined): boolean {
  const own = readdirSync(volumeDirectory(root, name)).every((entry) => entry === "volume.json" || entry === "_data");
  const data = volumeData(root, name);
  return own && (filled === undefined ? readdirSync(data).length === 0 : !changedSince(data, filled));
}

/**
 * Removes a volume and what is in it. Throws NotFoundError, and StoreError if a container or a mount uses it, or its plugin does not remove
 * it; with `force` it is forgotten then.
 */
export async function removeVolume(root: DataRoot, name: string, { force = false } = {}): Promise<void> {
  const volume = await readVolumeAnywhere(root, name);
  if (volume.driver !== localDriver) return await removeOnPlugin(root, volume, force);
  await takeAway(root, name, (remove) => {
    const users = volumeUsers(root, name);
    if (users.length > 0) throw new StoreError(`remove ${name}: volume is in use - [${users.join(", ")}]`);
    remove();
  });
}

/** Calls `decide`, under the lock `store`, with what removes a volume of the driver `local`. Throws StoreError. */
async function takeAway(
  root: DataRoot,
  name: string,
  decide: (remove: () => void) => void | Promise<void>,
): Promise<void> {
  const temporary = await makeTemporary(root, "gone");
  try {
    await withLock(root, storeLock, () =>
      decide(() => {
        unmountVolume(root, name);
        publish(volumeDirectory(root, name), join(temporary.path, name));
      }),
    );
  } finally {
    temporary.dispose();
  }
}

/**
 * The directory that holds the content of a volume, which is mounted for this user if that is needed. What a plugin has mounted stays until
 * `releaseAll`, which must be called in any case. Throws StoreError.
 */
export async function openVolume(root: DataRoot, volume: VolumeRecord, user: VolumeUser): Promise<string> {
  if (volume.driver !== localDriver) return await acquire(root, volume.name, user);
  await mountVolume(root, volume);
  return volumeData(root, volume.name);
}

/** Does something with the directory that holds the content of a volume. Throws StoreError. */
export async function withVolumeData<T>(
  root: DataRoot,
  volume: VolumeRecord,
  work: (data: string) => T | Promise<T>,
): Promise<T> {
  const user = thisProcess();
  try {
    return await work(await openVolume(root, volume, user));
  } finally {
    for (const problem of await releaseAll(root, user.id)) warn(problem.message);
  }
}
