import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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
import { withLock } from "../store/lock.js";
import type { ContainerRecord, ContainerState } from "../store/records.js";
import { releaseAll } from "../store/volume-drivers/uses.js";
import { findVolume, isAnonymous } from "../store/volume-records.js";
import { volumeUsers } from "../store/volume-users.js";
import { removeVolume } from "../store/volumes.js";
import { warn } from "../store/warn.js";
import { applyMounts, undoMounts } from "./apply.js";
import {
  bundleConfig,
  defaultMounts,
  initMount,
  initPath,
  isBelowDefaults,
  type Launch,
  processSpec,
  readIfAny,
  writeNetworkFiles,
} from "./bundle.js";
import { plannedMounts } from "./container-mounts.js";
import { driverOf } from "./drivers/choose.js";
import { enterScript } from "./enter-script.js";
import { ociMounts } from "./oci-mounts.js";
import { type Attachment, type ContainerProcess, complaint, RuntimeError, readPid, startProcess } from "./process.js";
import { findProgram } from "./program.js";
import { RootView } from "./root-view.js";
import { bundleFiles, deleteCommand, needInit, type Runtime, runtimeName, runtimeOf, runtimesFor } from "./runtime.js";
import { forwardSignals, sendSignal } from "./signals.js";
import { StartError } from "./start-error.js";
import { isMounted, type UnionMounter, unmountUnion } from "./union.js";
import { resolveUser } from "./users.js";

/** What watching a container needs from whoever does it. */
export interface Watch {
  readonly mounter: UnionMounter;
  readonly attachment: Attachment;
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
  let deliver = (signal: NodeJS.Signals): void => void waiting.push(signal);
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
    const { runtime, running } = await launch(root, record, watch);
    writeState(root, id, {
      schema: 1,
      status: "running",
      pid: running.pid,
      processStart: running.processStart,
      monitor: { pid: process.pid, processStart: processStart(process.pid) ?? "" },
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

/** Makes the merged view and runs the container's program in it. */
async function launch(
  root: DataRoot,
  record: ContainerRecord,
  { mounter, attachment }: Watch,
): Promise<{ runtime: Runtime; running: ContainerProcess }> {
  const runtimes = runtimesFor(record.runtime);
  const places = placesOf(root, record.id);
  await driverOf(record).mount(root, record, mounter);
  const planned = await plannedMounts(root, record);
  const hidden = planned.filter(({ target }) => isBelowDefaults(target));
  await applyMounts(
    root,
    places.merged,
    planned.filter((mount) => !hidden.includes(mount)),
    mounter,
  );
  rmSync(places.bundle, { recursive: true, force: true });
  mkdirSync(places.bundle, { mode: 0o711 });
  writeNetworkFiles(places.bundle, record.hostname);
  const own = ociMounts(hidden, release());
  const taken = new Set(planned.map(({ target }) => target));
  const mounts = [
    ...defaultMounts(places.bundle).filter(({ destination }) => !taken.has(destination)),
    ...(record.init === true ? [initMount(needInit())] : []),
    ...own,
  ];
  const description: Launch = { record, process: processOf(record, places.merged), rootfs: places.merged, mounts };
  for (const [index, runtime] of runtimes.entries()) {
    const files = bundleFiles(places.bundle);
    for (const file of [files.log, files.pid, files.started]) rmSync(file, { force: true });
    writeFileSync(files.asked, runtimeName(runtime));
    if (runtime.kind === "oci") writeFileSync(files.config, JSON.stringify(bundleConfig(description), null, 2));
    else writeFileSync(files.script, enterScript(description, places.bundle, root.containers));
    try {
      const running = await startProcess(runtime, places.bundle, record.id, attachment, {
        terminal: record.process.terminal,
        ownNetwork: record.network === "none",
      });
      return { runtime, running };
    } catch (error) {
      // A runtime that cannot work with the cgroups of this machine is as good as none.
      const unusable = error instanceof RuntimeError && /cgroup/i.test(error.message);
      if (!unusable || index === runtimes.length - 1) throw error;
      const left = deleteLeft(runtime, places.bundle, record.id);
      if (left !== undefined) throw new RuntimeError(runtime, `${error.message}; moreover ${left}`, { cause: error });
    }
  }
  throw new StartError("no runtime could be used", 125);
}

/** The container's program, with what the image's files say about it. Makes the working directory if it is missing. */
function processOf(record: ContainerRecord, merged: string) {
  const { args, env, user, workingDirectory, terminal } = record.process;
  const view = new RootView(merged);
  try {
    const cwd = workingDirectory === "" ? "/" : workingDirectory;
    if (view.stat(cwd)?.isDirectory !== true) view.makeDirectory(cwd);
    const { hostname } = record;
    const spec = processSpec(resolveUser(view, user), { args, env, cwd, terminal, hostname });
    findProgram(view, args[0] ?? "", spec.env, cwd);
    return record.init === true ? { ...spec, args: [initPath, "--", ...spec.args] } : spec;
  } finally {
    view.close();
  }
}

/**
 * Undoes what a start did, also one whose monitor was killed half-way: then what it had started is ended. The lock of the container is held,
 * and nobody watches it. Returns what plugins complain of that were to unmount volumes, which has been said.
 */
export async function tidyUp(root: DataRoot, id: string, mounter: UnionMounter): Promise<StoreError[]> {
  const { merged, bundle } = placesOf(root, id);
  const files = bundleFiles(bundle);
  const asked = readIfAny(files.asked);
  if (asked === "unshare") await killLeft(files.pid);
  else if (asked !== undefined && existsSync(join(files.runtime, id))) {
    // An OCI runtime removes its records by itself, unless it was killed. It kills what still runs; if it cannot, or is gone, we do.
    const left = deleteLeft(runtimeOf(asked), bundle, id);
    if (left !== undefined && standsOn(readPid(files.pid)?.pid, merged)) await killLeft(files.pid);
  }
  if (isMounted(merged)) {
    undoMounts(merged, true);
    await unmountUnion(mounter, merged);
  }
  rmSync(bundle, { recursive: true, force: true });
  const problems = await releaseAll(root, id);
  for (const { message } of problems) warn(message);
  return problems;
}

/** Has an OCI runtime kill and forget a container. Returns why it did not. */
function deleteLeft(runtime: Runtime, bundle: string, id: string): string | undefined {
  const { program, args } = deleteCommand(runtime, bundle, id);
  const { status, stderr, error } = spawnSync(program, args, { stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
  if (status === 0) return undefined;
  const { log } = bundleFiles(bundle);
  return `${program} delete: ${error?.message ?? (stderr.trim() || complaint(log) || `exit code ${status}`)}`;
}

/** Whether a process has the merged view as its root. A pid alone may have come to mean another process. */
function standsOn(pid: number | undefined, merged: string): boolean {
  try {
    return pid !== undefined && isMounted(merged) && statSync(`/proc/${pid}/root`).dev === statSync(merged).dev;
  } catch {
    return false;
  }
}

async function killLeft(pidFile: string): Promise<void> {
  const { pid, start } = readPid(pidFile) ?? {};
  while (pid !== undefined && start !== undefined && processStart(pid) === start) {
    sendSignal(pid, "SIGKILL");
    await sleep(5);
  }
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
  let problem = error;
  try {
    const [complaint] = await tidyUp(root, id, mounter);
    problem ??= complaint?.message;
  } catch (cause) {
    problem ??= cause instanceof Error ? cause.message : String(cause);
  }
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
