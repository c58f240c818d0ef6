import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, newContainerId, placesOf, readState } from "../store/containers.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError } from "../store/error.js";
import type { ContainerRecord } from "../store/records.js";
import { ociProcess, type ProcessSpec, processSpec } from "./bundle.js";
import { type Attachment, complaint, endOf, RuntimeError, spawnAttached } from "./process.js";
import { findProgram } from "./program.js";
import { RootView } from "./root-view.js";
import { type CommandLine, execCommand, needTool, runtimeOf } from "./runtime.js";
import { forwardSignals } from "./signals.js";
import { resolveUser } from "./users.js";

/** Another process in a container that runs. */
export interface ExecWish {
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Otherwise those of the container. */
  readonly user?: string;
  readonly workingDirectory?: string;
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly detached: boolean;
}

/**
 * Runs a process in a container, and waits for it unless it is detached. Returns its exit code. Throws StartError, StoreError if the container
 * does not run.
 */
export async function execInContainer(root: DataRoot, record: ContainerRecord, wish: ExecWish): Promise<number> {
  const state = readState(root, record.id);
  if (state.status !== "running" || !isAlive(state) || state.pid === undefined || state.runtime === undefined) {
    throw new StoreError(`container ${record.name} is not running`);
  }
  const spec = specOf(record, state.pid, wish);
  const runtime = runtimeOf(state.runtime);
  const { bundle, log } = placesOf(root, record.id);
  const file = join(bundle, `exec-${newContainerId().slice(0, 16)}.json`);
  const oci = runtime.kind === "oci";
  if (oci) writeFileSync(file, JSON.stringify(ociProcess(spec)));
  const errors = `${file}.log`;
  const command = oci ? execCommand(runtime, bundle, record.id, file, errors) : enterCommand(spec, state.pid, record);
  const attachment: Attachment = wish.detached ? { kind: "detached", log } : { kind: "foreground", stdin: wish.stdin };
  try {
    const child = spawnAttached(command, attachment, !wish.terminal ? "none" : oci ? "copied" : "made");
    if (wish.detached) {
      child.unref();
      await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
      return 0;
    }
    const stopForwarding = forwardSignals((signal) => child.kill(signal));
    try {
      const code = await endOf(child);
      const why = code !== 0 && oci ? complaint(errors) : undefined;
      if (why !== undefined) throw new RuntimeError(runtime, why);
      return code;
    } finally {
      stopForwarding();
    }
  } finally {
    // A runtime that goes on by itself may have yet to read them; they go with the bundle.
    if (!wish.detached) for (const path of [file, errors]) rmSync(path, { force: true });
  }
}

/** The process, with what the container's files say, as they are there now: volumes and all. */
function specOf(record: ContainerRecord, pid: number, wish: ExecWish): ProcessSpec {
  const view = new RootView(`/proc/${pid}/root`);
  try {
    const { process: own, hostname } = record;
    const cwd = wish.workingDirectory ?? (own.workingDirectory || "/");
    const names = new Set(wish.env.map((variable) => variable.split("=", 1)[0]));
    const env = [...own.env.filter((variable) => !names.has(variable.split("=", 1)[0])), ...wish.env];
    const user = resolveUser(view, wish.user ?? own.user);
    const spec = processSpec(user, { args: wish.args, env, cwd, terminal: wish.terminal, hostname });
    if (view.stat(cwd)?.isDirectory !== true) throw new StoreError(`the working directory ${cwd} does not exist`);
    findProgram(view, wish.args[0] ?? "", spec.env, cwd);
    return spec;
  } finally {
    view.close();
  }
}

/** Where no OCI runtime has made the namespaces. nsenter(1) knows no supplementary groups. */
function enterCommand({ args, env, cwd, user }: ProcessSpec, pid: number, { network }: ContainerRecord): CommandLine {
  const ids = user.uid === 0 && user.gid === 0 ? [] : ["--setuid", String(user.uid), "--setgid", String(user.gid)];
  const program = needTool("env", "coreutils");
  const nsenter = needTool("nsenter", "util-linux");
  const namespaces = ["--mount", "--uts", "--ipc", "--pid", ...(network === "none" ? ["--net"] : []), "--root"];
  return {
    program,
    args: ["-i", ...env, nsenter, "--target", String(pid), ...namespaces, `--wdns=${cwd}`, ...ids, "--", ...args],
  };
}
