import { existsSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { readMounts } from "../../native/mountinfo.js";
import { syncDirectory } from "../../store/atomic.js";
import { containerLock, placesOf, readContainer, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError, StoreError } from "../../store/error.js";
import { readImage } from "../../store/images.js";
import { storeLock, takeLock, withLock } from "../../store/lock.js";
import { shortId } from "../../store/names.js";
import type { ContainerRecord } from "../../store/records.js";
import { findVolume } from "../../store/volume-records.js";
import { shown } from "../../text.js";
import { recoverContainer } from "../container.js";
import { driverOf } from "../drivers/choose.js";
import { isMounted, type UnionMounter } from "../union.js";
import type { Finding } from "./finding.js";
import { unmountBelow } from "./temporaries.js";

function containerIds(root: DataRoot): string[] {
  return readdirSync(root.containers).filter((name) => /^[0-9a-f]{64}$/.test(name));
}

/** Containers that nobody tidied up after, or whose image or volumes are gone; names without containers, and containers without names. */
export async function checkContainers(root: DataRoot, mounter: UnionMounter): Promise<Finding[]> {
  const findings: Finding[] = [];
  const records: ContainerRecord[] = [];
  for (const id of containerIds(root)) {
    try {
      const record = readContainer(root, id);
      records.push(record);
      const found = [...(await leftHalfWay(root, record, mounter)), ...lacking(root, record)];
      // All of a container goes at once: one that is there still was there when it was looked at.
      if (existsSync(placesOf(root, id).config)) findings.push(...found);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // It was removed a moment ago, if its directory is gone.
      if (error instanceof NotFoundError && !containerIds(root).includes(id)) continue;
      findings.push({
        what: `container ${shortId(id)}`,
        problem: error.message,
        remedy: `what it wrote is in ${writtenIn(root, id)}: save that, and remove ${placesOf(root, id).path}`,
      });
    }
  }
  const names = await withLock(root, storeLock, () => checkNames(root));
  return [...findings, ...names, ...staleMounts(root)];
}

/** Where a container keeps its files, whose driver is not known. */
function writtenIn(root: DataRoot, id: string): string {
  const { tree, upper } = placesOf(root, id);
  return existsSync(tree) ? tree : upper;
}

/** One that is on record as running, or still mounted, and whose processes are gone. Nobody is at work on it if its lock can be had. */
async function leftHalfWay(root: DataRoot, { id, name }: ContainerRecord, mounter: UnionMounter): Promise<Finding[]> {
  const lock = await takeLock(root, containerLock(id), { limit: 0 });
  if (lock === undefined) return [];
  try {
    const state = readState(root, id);
    const mounted = isMounted(placesOf(root, id).merged);
    // What `readState` says of a container whose end nobody has recorded has no time.
    const isUnrecorded = state.status === "exited" && state.finished === undefined;
    if (state.status === "running" || !(mounted || isUnrecorded)) return [];
    return [
      {
        what: `container ${name}`,
        problem: isUnrecorded ? "it ended, and nobody recorded that" : "it does not run, and is still mounted",
        remedy: "end what is left of it, unmount it, and record that it has ended",
        repair: () =>
          withLock(root, containerLock(id), async () => {
            await recoverContainer(root, id, mounter);
          }),
      },
    ];
  } finally {
    lock.release();
  }
}

/** What a container needs to start. */
function lacking(root: DataRoot, container: ContainerRecord): Finding[] {
  const { id, name, image, mounts } = container;
  const missing = driverOf(container).directories.filter((one) => !existsSync(join(placesOf(root, id).path, one)));
  const findings: Finding[] = missing.map((one) => ({
    what: `container ${name}`,
    problem: `${join(placesOf(root, id).path, one)} is missing`,
    remedy: "save what is left of it, and remove the container",
  }));
  try {
    readImage(root, image.id);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    findings.push({
      what: `container ${name}`,
      problem: `its image ${image.name} (${shortId(image.id)}) is gone`,
      remedy: "load the image again, or save what the container wrote and remove it",
    });
  }
  for (const { type, source } of mounts) {
    if (type !== "volume" || source === undefined || findVolume(root, source) !== undefined) continue;
    findings.push({
      what: `container ${name}`,
      problem: `its volume ${source} is gone`,
      remedy: "the next start makes an empty one of that name; restore its content, if there is a copy",
    });
  }
  return findings;
}

/** The record of a container says its name; the links are there to find it, and are made before the record is changed. The store lock is held. */
function checkNames(root: DataRoot): Finding[] {
  const owners = new Map<string, string>();
  for (const id of containerIds(root)) {
    try {
      owners.set(readContainer(root, id).name, id);
    } catch {
      // Said already.
    }
  }
  const links = new Map(readdirSync(root.containerNames).map((name) => [name, targetOf(root, name)]));
  const wrong = [...links.keys()].filter((name) => owners.get(name) === undefined);
  const lost = [...owners].filter(([name, id]) => links.get(name) !== id);
  return [
    ...wrong.map((name) => ({
      what: `container name ${name}`,
      problem: "no container has it",
      remedy: "remove the name",
      repair: () => withLock(root, storeLock, () => removeName(root, name)),
    })),
    ...lost.map(([name, id]) => ({
      what: `container ${shortId(id)}`,
      problem: `its name ${name} does not lead to it`,
      remedy: "make the name again",
      repair: () => withLock(root, storeLock, () => makeName(root, name, id)),
    })),
  ];
}

function targetOf(root: DataRoot, name: string): string | undefined {
  try {
    return readlinkSync(join(root.containerNames, name));
  } catch {
    return undefined;
  }
}

function removeName(root: DataRoot, name: string): void {
  const id = targetOf(root, name);
  const isOwned = id !== undefined && containerIds(root).includes(id) && readContainer(root, id).name === name;
  if (!isOwned) rmSync(join(root.containerNames, name), { recursive: true, force: true });
}

function makeName(root: DataRoot, name: string, id: string): void {
  if (!containerIds(root).includes(id) || readContainer(root, id).name !== name) return;
  rmSync(join(root.containerNames, name), { recursive: true, force: true });
  symlinkSync(id, join(root.containerNames, name));
  syncDirectory(root.containerNames);
}

/** Mounts in the directory of a container that there is no more. */
function staleMounts(root: DataRoot): Finding[] {
  const prefix = Buffer.from(`${root.containers}/`, "utf8").toString("latin1");
  const inContainers = () => readMounts().filter(({ mountpoint }) => mountpoint.startsWith(prefix));
  // A container is made before it is mounted, and unmounted before it is removed, by others at this very moment, too.
  const before = new Set(inContainers().map(({ id }) => id));
  const ids = new Set(containerIds(root));
  const stale = inContainers()
    .filter(({ id }) => before.has(id))
    .filter(({ mountpoint }) => !ids.has(mountpoint.slice(prefix.length).split("/")[0] ?? ""));
  return stale.map(({ mountpoint }) => ({
    what: `mount ${shown(mountpoint)}`,
    problem: "its container is gone",
    remedy: "unmount it",
    repair: () => unmountBelow(shown(mountpoint)),
  }));
}
