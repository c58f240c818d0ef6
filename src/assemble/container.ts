import { processStart } from "../native/process.js";
import {
  containerLock,
  isAlive,
  isWatched,
  placesOf,
  readContainer,
  readState,
  removeContainer,
  writeState,
} from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError } from "../store/error.js";
import { interrupt } from "../store/interruption.js";
import { withLock } from "../store/lock.js";
import type { ContainerState } from "../store/records.js";
import { releaseAll } from "../store/volume-drivers/uses.js";
import { findVolume, isAnonymous } from "../store/volume-records.js";
import { volumeUsers } from "../store/volume-users.js";
import { removeVolume } from "../store/volumes.js";
import { warn } from "../store/warn.js";
import { plannedMounts } from "./container-mounts.js";
import { driverOf } from "./drivers/choose.js";
import { launch, undoLaunch } from "./launch.js";
import type { Attachment, ContainerProcess } from "./process.js";
import { runtimeName } from "./runtime.js";
import { forwardSignals } from "./signals.js";
import { StartError } from "./start-error.js";
import { isMounted, type UnionMounter } from "./union.js";

/** Signals that mean that a user wants an end. */
const ending: ReadonlySet<string> = new Set(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]);

/** What watching a container needs from whoever does it. */
export interface Watch {
  readonly mounter: UnionMounter;
  readonly attachment: Attachment;
  /** Called when this run is the only one, before anything of it is there. */
  readonly prepare?: () => void;
  /** Called once the container's program runs, and this is on record. */
  readonly started: () => void;
  /** Signals that this process gets are the container's. */
  readonly forwardSignals: boolean;
}

/**
 * Starts a container and watches it: mounts, runs, waits for the end, tidies up, records. Returns the exit code. Throws StartError, with
 * everything undone, if it did not start, and StoreError if it runs already.
 */
export async function watchContainer(root: DataRoot, id: string, watch: Watch): Promise<number> {
  const waiting: NodeJS.Signals[] = [];
  let deliver = (signal: NodeJS.Signals): void => {
    waiting.push(signal);
    // Until the program is there, what takes long is ended: a plugin that hangs, a copy into a volume.
    if (ending.has(signal)) interrupt();
  };
  const stopForwarding = watch.forwardSignals ? forwardSignals((signal) => deliver(signal)) : () => {};
  try {
    const running = await withLock(root, containerLock(id), () => start(root, id, watch));
    deliver = running.signal;
    for (const signal of waiting) deliver(signal);
    watch.started();
    const exitCode = await running.ended;
    await withLock(root, containerLock(id), () => finish(root, id, watch.mounter, { exitCode }));
    return exitCode;
  } finally {
    stopForwarding();
  }
}

/** The lock of the container is held. */
async function start(root: DataRoot, id: string, watch: Watch): Promise<ContainerProcess> {
  const record = readContainer(root, id);
  const state = readState(root, id);
  if (state.status === "running") throw new StoreError(`container ${record.name} is running already`);
  try {
    await tidyUp(root, id, watch.mounter);
    watch.prepare?.();
    const { runtime, running } = await launch(root, record, placesOf(root, id), {
      ...watch,
      mount: () => driverOf(record).mount(root, record, watch.mounter),
      mounts: () => plannedMounts(root, record),
    });
    writeState(root, id, {
      schema: 1,
      status: "running",
      pid: running.pid,
      processStart: running.processStart,
      monitor: { pid: process.pid, processStart: processStart(process.pid) ?? "" },
      ...(watch.attachment.kind === "detached" ? { detached: true } : {}),
      runtime: runtimeName(runtime),
      started: new Date().toISOString(),
    });
    return running;
  } catch (cause) {
    const failure = startErrorOf(cause);
    await finish(root, id, watch.mounter, { exitCode: failure.exitCode, error: failure.message });
    throw failure;
  }
}

function startErrorOf(cause: unknown): StartError {
  if (cause instanceof StartError) return cause;
  return new StartError(cause instanceof Error ? cause.message : String(cause), 125, { cause });
}

/**
 * Undoes what a start did, also one whose monitor was killed half-way: then what it had started is ended. The lock of the container is held,
 * and nobody watches it. Returns what plugins complain of that were to unmount volumes, which has been said.
 */
async function tidyUp(root: DataRoot, id: string, mounter: UnionMounter): Promise<StoreError[]> {
  await undoLaunch(placesOf(root, id), id, mounter);
  const problems = await releaseAll(root, id);
  for (const { message } of problems) warn(message);
  return problems;
}

/** After the end of a container, or a start that failed: undoes, records, and removes it if that was asked for. */
async function finish(
  root: DataRoot,
  id: string,
  mounter: UnionMounter,
  { exitCode, error }: { exitCode: number; error?: string },
): Promise<void> {
  const before = readState(root, id);
  const { autoRemove } = readContainer(root, id);
  let complaint: string | undefined;
  try {
    complaint = (await tidyUp(root, id, mounter))[0]?.message;
  } catch (cause) {
    complaint = cause instanceof Error ? cause.message : String(cause);
  }
  const problem = error ?? complaint;
  if (autoRemove && !isMounted(placesOf(root, id).merged)) {
    await removeWithVolumes(root, id);
    return;
  }
  const { started, filled } = before;
  writeState(root, id, {
    schema: 1,
    status: before.status === "created" ? "created" : "exited",
    ...(started === undefined ? {} : { started }),
    ...(filled === undefined ? {} : { filled }),
    finished: new Date().toISOString(),
    exitCode,
    ...(problem === undefined ? {} : { error: problem }),
    ...(complaint === undefined ? {} : { complaint }),
  });
}

/**
 * Removes a container that does not run, and the anonymous volumes that it alone used; one that cannot be removed is said, and stays. The
 * lock of the container is held. Throws StoreError.
 */
export async function removeWithVolumes(root: DataRoot, id: string, { volumes = true } = {}): Promise<void> {
  const { mounts } = readContainer(root, id);
  await removeContainer(root, id);
  if (!volumes) return;
  for (const { type, source } of mounts) {
    if (type !== "volume" || source === undefined) continue;
    const volume = findVolume(root, source);
    if (volume === undefined || !isAnonymous(volume) || volumeUsers(root, source).length > 0) continue;
    try {
      await removeVolume(root, source);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      warn(error.message);
    }
  }
}

/**
 * Makes a container that somebody left half-way (a monitor that was killed) one that has exited: nothing of it runs or is mounted. The lock
 * of the container is held. Returns its state; one that runs is left alone.
 */
export async function recoverContainer(root: DataRoot, id: string, mounter: UnionMounter): Promise<ContainerState> {
  const state = readState(root, id);
  if (state.status === "running" && (isAlive(state) || isWatched(state))) return state;
  await tidyUp(root, id, mounter);
  if (state.status === "exited" && state.finished === undefined) {
    const known: ContainerState = { ...state, finished: new Date().toISOString() };
    writeState(root, id, known);
    return known;
  }
  return state;
}
