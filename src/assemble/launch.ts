/** From a record and a place for its union to processes, and back: what containers and the steps of a build have in common. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processStart } from "../native/process.js";
import type { ContainerPlaces } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import type { ContainerRecord } from "../store/records.js";
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
import { enterScript } from "./enter-script.js";
import { ociMounts } from "./oci-mounts.js";
import type { PlannedMount } from "./plan.js";
import { type Attachment, type ContainerProcess, complaint, RuntimeError, readPid, startProcess } from "./process.js";
import { findProgram } from "./program.js";
import { RootView } from "./root-view.js";
import { bundleFiles, deleteCommand, needInit, type Runtime, runtimeName, runtimeOf, runtimesFor } from "./runtime.js";
import { signalProcess } from "./signals.js";
import { StartError } from "./start-error.js";
import { isMounted, type UnionMounter, unmountUnion } from "./union.js";
import { resolveUser } from "./users.js";

/** Where the union is mounted, and where the runtime is told what to run; both are made or there already. */
export type LaunchPlaces = Pick<ContainerPlaces, "merged" | "bundle">;

/** The places below a directory of a build, and what the processes there are known by to a runtime: for the check, too, that finds it. */
export function launchPlaces(path: string): LaunchPlaces & { readonly id: string } {
  const id = path.split("/").slice(-2).join("-");
  return { id, merged: join(path, "merged"), bundle: join(path, "bundle") };
}

/** What a launch needs from whoever does it. */
export interface LaunchWish {
  /** Makes the merged view. */
  mount(): Promise<void>;
  /** For images that are mounted over it. */
  readonly mounter: UnionMounter;
  readonly attachment: Attachment;
  /** What comes over it. */
  mounts(): Promise<readonly PlannedMount[]>;
}

/** Mounts the union and runs the record's program in it. Throws; what was done by then is `undoLaunch`'s to undo. */
export async function launch(
  root: DataRoot,
  record: ContainerRecord,
  places: LaunchPlaces,
  wish: LaunchWish,
): Promise<{ runtime: Runtime; running: ContainerProcess }> {
  const runtimes = runtimesFor(record.runtime);
  await wish.mount();
  const planned = await wish.mounts();
  const hidden = planned.filter(({ target }) => isBelowDefaults(target));
  await applyMounts(
    root,
    places.merged,
    planned.filter((mount) => !hidden.includes(mount)),
    wish.mounter,
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
    else writeFileSync(files.script, enterScript(description, places.bundle, [root.containers, root.temporary]));
    try {
      const running = await startProcess(runtime, places.bundle, record.id, wish.attachment, {
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

/** The record's program, with what the image's files say about it. Makes the working directory if it is missing. */
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

/** Undoes what a launch of `id` did, also one whose owner was killed half-way: then what it had started is ended. Nobody watches it any more. */
export async function undoLaunch(places: LaunchPlaces, id: string, mounter: UnionMounter): Promise<void> {
  const { merged, bundle } = places;
  await endProcesses(places, id);
  if (isMounted(merged)) {
    undoMounts(merged, true);
    await unmountUnion(mounter, merged);
  }
  rmSync(bundle, { recursive: true, force: true });
}

/** Ends what still runs of a launch, and takes away the records that an OCI runtime left. */
export async function endProcesses({ merged, bundle }: LaunchPlaces, id: string): Promise<void> {
  const files = bundleFiles(bundle);
  const asked = readIfAny(files.asked);
  if (asked === "unshare") await killLeft(files.pid);
  else if (asked !== undefined && existsSync(join(files.runtime, id))) {
    // An OCI runtime removes its records by itself, unless it was killed. It kills what still runs; if it cannot, or is gone, we do.
    const left = deleteLeft(runtimeOf(asked), bundle, id);
    if (left !== undefined && standsOn(readPid(files.pid)?.pid, merged)) await killLeft(files.pid);
  }
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
    signalProcess(pid, start, "SIGKILL");
    await sleep(5);
  }
}
