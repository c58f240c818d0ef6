import { homedir } from "node:os";
import { resolve } from "node:path";
import { removeWithVolumes } from "../../assemble/container.js";
import { chooseDriver, mustKeep } from "../../assemble/drivers/choose.js";
import type { StorageDriver } from "../../assemble/drivers/driver.js";
import { fillVolumes } from "../../assemble/fill.js";
import { ensureVolumes } from "../../assemble/plan.js";
import { needInit, runtimesFor } from "../../assemble/runtime.js";
import { signalNumber } from "../../assemble/signals.js";
import { collectSpecs } from "../../assemble/specs/collect.js";
import { addContainer, containerLock, findContainer, listContainers, newContainerId } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError, undoAfter } from "../../store/error.js";
import type { FilledVolumes } from "../../store/filled-volume.js";
import { findImage, readConfig } from "../../store/images.js";
import { withLock } from "../../store/lock.js";
import { checkName } from "../../store/names.js";
import type { ContainerRecord, VolumeRecord } from "../../store/records.js";
import { isAnonymous } from "../../store/volume-records.js";
import { unmakeVolumes } from "../../store/volumes.js";
import { print, UsageError } from "../exit.js";
import { storageOptions } from "../storage-options.js";
import { type CreateWords, commandOf, environmentOf, hostnameOf, labelsOf } from "./create-words.js";
import { daemonMounter } from "./mounter.js";
import { randomName } from "./names.js";

/** `cowfs create`. Returns the exit code. */
export async function createCommand(
  root: DataRoot,
  image: string,
  command: readonly string[],
  words: CreateWords,
): Promise<number> {
  const made: VolumeRecord[] = [];
  const filled: FilledVolumes = new Map();
  const record = await createContainer(root, image, command, words, made);
  try {
    await fillVolumes(root, record, daemonMounter, filled);
  } catch (error) {
    await undoAfter(error, async () => {
      await withLock(root, containerLock(record.id), () => removeWithVolumes(root, record.id));
      await unmakeVolumes(
        root,
        made.filter((volume) => !isAnonymous(volume)),
        filled,
      );
    });
  }
  print(`${record.id}\n`);
  return 0;
}

/**
 * Makes a container, and the volumes that it names, which its start will fill; those that are new are added to `made`. Nothing is mounted. Throws
 * StoreError, UsageError; then nothing is left.
 */
export async function createContainer(
  root: DataRoot,
  imageWord: string,
  command: readonly string[],
  words: CreateWords,
  made: VolumeRecord[] = [],
): Promise<ContainerRecord> {
  const image = findImage(root, imageWord);
  const config = readConfig(root, image.id).config ?? {};
  const id = newContainerId();
  const stopSignal = words.stopSignal ?? config.StopSignal ?? "SIGTERM";
  if (signalNumber(stopSignal) === undefined) throw new UsageError(`invalid stop signal: ${stopSignal}`);
  if (words.name !== undefined) checkName(words.name, "container");
  const runtime = words.runtime ?? "auto";
  // A runtime that is not there is better said now than at the start.
  runtimesFor(runtime);
  const { driver } = await chooseDriver(root, words.driver);
  const workdir = words.workdir ?? (config.WorkingDir || "/");
  if (!workdir.startsWith("/"))
    throw new UsageError(`the working directory ${workdir} is invalid: it must be absolute`);
  const record: Omit<ContainerRecord, "name" | "mounts"> = {
    schema: 1,
    id,
    created: new Date().toISOString(),
    image: { id: image.id, name: imageWord },
    process: {
      ...commandOf(config, words.entrypoint, command),
      env: environmentOf(config.Env ?? [], words.envFile, words.env),
      user: words.user ?? config.User ?? "",
      workingDirectory: resolve("/", workdir),
      terminal: words.tty === true,
      openStdin: words.interactive === true,
      stopSignal,
    },
    hostname: hostnameOf(words.hostname, id),
    readOnly: words.readOnly === true,
    autoRemove: words.rm === true,
    runtime: runtime.includes("/") ? resolve(runtime) : runtime,
    driver: driver.name,
    labels: labelsOf(config.Labels, words.label),
    ...(words.storageOpt === undefined ? {} : { storageOptions: storageOptions(words.storageOpt) }),
    ...(words.network === "none" && { network: "none" }),
    ...(words.init === true && { init: true }),
  };
  if (words.init === true) needInit();
  mustKeep(driver, record);
  const specs = collectSpecs(
    {
      volumesFrom: words.volumesFrom ?? [],
      volumes: words.volume ?? [],
      mounts: words.mount ?? [],
      tmpfs: words.tmpfs ?? [],
    },
    {
      cwd: process.cwd(),
      home: homedir(),
      volumeDriver: words.volumeDriver,
      imageVolumes: Object.keys(config.Volumes ?? {}),
      mountsOf: (container) => findContainer(root, container).mounts,
    },
  );
  try {
    const mounts = await ensureVolumes(root, specs, made);
    return await addNamed(root, { ...record, mounts }, words.name, driver);
  } catch (error) {
    return await undoAfter(error, () => unmakeVolumes(root, made));
  }
}

/** Publishes the container under its name, or under one that is free. */
async function addNamed(
  root: DataRoot,
  record: Omit<ContainerRecord, "name">,
  name: string | undefined,
  driver: StorageDriver,
): Promise<ContainerRecord> {
  for (let attempt = 0; ; attempt++) {
    const whole = { ...record, name: name ?? randomName(attempt) };
    try {
      await addContainer(root, whole, (directory) => driver.prepare(root, whole, directory));
      return whole;
    } catch (error) {
      const taken = name === undefined && attempt < 20 && listContainers(root).some((one) => one.name === whole.name);
      if (!(error instanceof StoreError) || !taken) throw error;
    }
  }
}
