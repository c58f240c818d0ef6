import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { processStart } from "../native/process.js";
import { publish, syncDirectory, writeJson } from "./atomic.js";
import { forgetLimit } from "./container-project.js";
import { type DataRoot, reason } from "./data-root.js";
import { NotFoundError, StoreError } from "./error.js";
import { nearest } from "./images.js";
import { storeLock, withLock } from "./lock.js";
import { checkName, digestHex, isIdPrefix, shortId } from "./names.js";
import type { ContainerRecord, ContainerState, DriverName } from "./records.js";
import { makeTemporary } from "./temporary.js";

/** Where the parts of a container lie. What is there at all times: the two records, and what its storage driver keeps. */
export interface ContainerPlaces {
  readonly path: string;
  readonly config: string;
  readonly state: string;
  /** The writable layer, and what the union needs beside it. */
  readonly upper: string;
  readonly work: string;
  /** The whole tree, for drivers that have no union. */
  readonly tree: string;
  /** The mountpoint of its tree, while the container runs. */
  readonly merged: string;
  /** What the runtime is told: the OCI bundle, and the files that are mounted over /etc. Made anew at each start. */
  readonly bundle: string;
  /** The output of a container that runs detached. */
  readonly log: string;
  /** When that came. */
  readonly logTimes: string;
  /** Its standard input, a named pipe, if that is open. */
  readonly input: string;
  /** Its exit code when all is over, for those who are attached: they have it open, whatever becomes of the name. */
  readonly end: string;
}

export function placesOf(root: DataRoot, id: string): ContainerPlaces {
  const path = join(root.containers, id);
  const at = (name: string): string => join(path, name);
  return {
    path,
    config: at("config.json"),
    state: at("state.json"),
    upper: at("upper"),
    work: at("work"),
    tree: at("tree"),
    merged: at("merged"),
    bundle: at("bundle"),
    log: at("log"),
    logTimes: at("log.times"),
    input: at("input"),
    end: at("end"),
  };
}

/** The lock under which the state of a container changes. */
export function containerLock(id: string): string {
  return `container-${id}`;
}

export function newContainerId(): string {
  return randomBytes(32).toString("hex");
}

/**
 * Publishes a new container. `prepare` makes its writable layer in the directory that it is given. Throws StoreError if the name is in use, or the
 * image or a volume has gone meanwhile.
 */
export async function addContainer(
  root: DataRoot,
  record: ContainerRecord,
  prepare: (directory: string) => Promise<void>,
): Promise<void> {
  checkName(record.name, "container");
  const temporary = await makeTemporary(root, "container");
  try {
    const built = join(temporary.path, record.id);
    mkdirSync(built, { mode: 0o711 });
    mkdirSync(join(built, "merged"), { mode: 0o755 });
    await prepare(built);
    writeJson(join(built, "config.json"), record);
    writeJson(join(built, "state.json"), { schema: 1, status: "created" } satisfies ContainerState);
    await withLock(root, storeLock, () => {
      checkUsed(root, record);
      takeName(root, record.name, record.id);
      publish(built, placesOf(root, record.id).path);
    });
  } finally {
    temporary.dispose();
  }
}

/** What a container uses must be there when it is published; from then on nobody removes it. */
function checkUsed(root: DataRoot, { image, mounts }: ContainerRecord): void {
  if (!existsSync(join(root.images, digestHex(image.id), "image.json"))) {
    throw new NotFoundError(`the image ${image.name} (${shortId(image.id)}) has just been removed`);
  }
  for (const { type, source } of mounts) {
    if (type === "volume" && source !== undefined && !existsSync(join(root.volumes, source, "volume.json"))) {
      throw new NotFoundError(`the volume ${source} has just been removed: create the container again`);
    }
  }
}

/** Makes a name mean a container; the store lock is held. A link that leads to no container of that name was left by a crash. */
function takeName(root: DataRoot, name: string, id: string): void {
  const link = join(root.containerNames, name);
  const owner = ownerOf(root, name);
  if (owner !== undefined) {
    throw new StoreError(
      `the container name ${name} is in use by container ${shortId(owner.id)}: remove or rename that one, or choose another name`,
    );
  }
  rmSync(link, { force: true });
  symlinkSync(id, link);
  syncDirectory(root.containerNames);
}

function ownerOf(root: DataRoot, name: string): ContainerRecord | undefined {
  let id: string;
  try {
    id = readlinkSync(join(root.containerNames, name));
  } catch {
    return undefined;
  }
  const record = isContainerId(id) ? recordIfAny(root, id) : undefined;
  return record?.name === name ? record : undefined;
}

function isContainerId(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name);
}

function containerIds(root: DataRoot): string[] {
  return readdirSync(root.containers).filter(isContainerId);
}

/** The record of a container that exists. Throws StoreError. */
export function readContainer(root: DataRoot, id: string): ContainerRecord {
  const record = recordIfAny(root, id);
  if (record === undefined) throw new NotFoundError(`no such container: ${shortId(id)}`);
  return record;
}

function recordIfAny(root: DataRoot, id: string): ContainerRecord | undefined {
  return readRecord<ContainerRecord>(
    placesOf(root, id).config,
    (value) => value.id === id && Array.isArray(value.mounts),
  );
}

function readRecord<T extends { schema: 1 }>(path: string, isWhole: (value: T) => boolean): T | undefined {
  let value: T;
  try {
    value = JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
  if (typeof value !== "object" || value === null || value.schema !== 1 || !isWhole(value)) {
    throw new StoreError(`${path} is damaged: it is no record that this program has written`);
  }
  return value;
}

/** All containers, the newest first. One that is removed meanwhile is left out. */
export function listContainers(root: DataRoot): ContainerRecord[] {
  return containerIds(root)
    .map((id) => recordIfAny(root, id))
    .filter((record) => record !== undefined)
    .sort((a, b) => (a.created === b.created ? 0 : a.created < b.created ? 1 : -1));
}

/** The container that a user means by its name, its id or the beginning of one. Throws NotFoundError. */
export function findContainer(root: DataRoot, word: string): ContainerRecord {
  const named = /^[\w.-]+$/.test(word) ? ownerOf(root, word) : undefined;
  if (named !== undefined) return named;
  const ids = isIdPrefix(word) ? containerIds(root).filter((id) => id.startsWith(word)) : [];
  const [id, another] = ids;
  if (another !== undefined) {
    throw new StoreError(`${word} is the beginning of ${ids.length} containers' ids: write more of it`);
  }
  if (id !== undefined) return readContainer(root, id);
  const near = nearest(word, readdirSync(root.containerNames));
  const hint = near.length === 0 ? "see cowfs ps -a" : `did you mean ${near.join(" or ")}?`;
  throw new NotFoundError(`no such container: ${word} (${hint})`);
}

/**
 * The state of a container as it is: one that is recorded as running, and whose process is gone with nobody left to record that, has
 * exited.
 */
export function readState(root: DataRoot, id: string): ContainerState {
  const { state: path } = placesOf(root, id);
  const state = readRecord<ContainerState>(path, ({ status }) => typeof status === "string");
  if (state === undefined) throw new NotFoundError(`no such container: ${shortId(id)}`);
  if (state.status !== "running" || isAlive(state) || isWatched(state)) return state;
  const { pid: _pid, processStart: _start, monitor: _monitor, ...rest } = state;
  return { ...rest, status: "exited", exitCode: 255, error: "its exit code is not known: its monitor was killed" };
}

/** Whether the container's first process lives. */
export function isAlive({ pid, processStart: start }: Pick<ContainerState, "pid" | "processStart">): boolean {
  return pid !== undefined && start !== undefined && processStart(pid) === start;
}

/** Whether somebody will tidy up and record the end of the container. */
export function isWatched({ monitor }: ContainerState): boolean {
  return monitor !== undefined && processStart(monitor.pid) === monitor.processStart;
}

/** Records a state; the lock of the container is held. */
export function writeState(root: DataRoot, id: string, state: ContainerState): void {
  writeJson(placesOf(root, id).state, state);
}

/** Gives a container another name. Throws StoreError if that is in use. The lock of the container is held. */
export async function renameContainer(root: DataRoot, id: string, name: string): Promise<void> {
  checkName(name, "container");
  await withLock(root, storeLock, () => {
    const record = readContainer(root, id);
    if (record.name === name) throw new StoreError(`container ${shortId(id)} has the name ${name} already`);
    takeName(root, name, id);
    try {
      writeJson(placesOf(root, id).config, { ...record, name });
    } catch (cause) {
      if (readContainer(root, id).name !== name) rmSync(join(root.containerNames, name), { force: true });
      throw new StoreError(`container ${record.name} cannot be renamed: ${reason(cause)}`, { cause });
    }
    rmSync(join(root.containerNames, record.name), { force: true });
  });
}

/** Records another storage driver, of the same format. The lock of the container is held, and it does not run. */
export function writeDriver(root: DataRoot, id: string, driver: DriverName): void {
  writeJson(placesOf(root, id).config, { ...readContainer(root, id), driver });
}

/** Takes a container that does not run away, with its writable layer. The lock of the container is held. */
export async function removeContainer(root: DataRoot, id: string): Promise<void> {
  const { path } = placesOf(root, id);
  const gone = await makeTemporary(root, "gone");
  try {
    // Together, so that nobody who holds the lock sees a name without its container.
    await withLock(root, storeLock, () => {
      const link = join(root.containerNames, readContainer(root, id).name);
      publish(path, join(gone.path, id));
      if (readlinkIfAny(link) === id) rmSync(link, { force: true });
    });
    forgetLimit(join(gone.path, id, "upper"));
  } finally {
    gone.dispose();
  }
  // Ids are never used twice: whoever has waited for this lock finds no container.
  rmSync(join(root.locks, containerLock(id)), { force: true });
}

function readlinkIfAny(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
