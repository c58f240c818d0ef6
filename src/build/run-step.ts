/** RUN: a program in a container of the stage's layers, whose changes become a layer. */
import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { launch } from "../assemble/launch.js";
import { StoreError } from "../store/error.js";
import { jsonStrings } from "../store/image-changes.js";
import type { ContainerRecord } from "../store/records.js";
import { heredocName, type Statement } from "./dockerfile.js";
import type { StageState } from "./stage-state.js";
import type { Bench, Workshop } from "./workshop.js";

/** How often the output of a step is looked at, in milliseconds. */
const patience = 50;

/** What is run: all that the cache goes by. */
export interface Run {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDirectory: string;
  /** Otherwise the host's. */
  readonly network?: "none";
}

/** Arguments that need no ARG, and are not part of what decides a step: proxies. */
const proxies = new Set(["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"]);

export function isProxy(name: string): boolean {
  return proxies.has(name.toUpperCase());
}

/** Throws StoreError. */
export function runOf(step: Statement, state: StageState): Run {
  const isSet = (name: string): boolean => state.env.some((one) => one.startsWith(`${name}=`));
  const args = [...state.args].filter(([name]) => !isSet(name)).map(([name, value]) => `${name}=${value}`);
  return {
    args: jsonStrings(step.rest) ?? [...(state.config.Shell ?? ["/bin/sh", "-c"]), scriptOf(step)],
    env: [...args, ...state.env],
    user: state.config.User ?? "",
    workingDirectory: state.workingDirectory,
    ...(step.flags.some(([name, value]) => name === "network" && value === "none") && { network: "none" }),
  };
}

/** A here-document that stands alone is the script; others are the shell's. */
function scriptOf({ rest, heredocs }: Statement): string {
  const [only] = heredocs;
  if (only === undefined) return rest;
  if (heredocs.length > 1 || heredocName(rest) === undefined) {
    return `${rest}\n${heredocs.map(({ text }) => text).join("")}`;
  }
  if (only.content.startsWith("#!"))
    throw new StoreError("a here-document with #! is not supported: COPY it to a file, and run that");
  return only.content;
}

export interface RunOptions {
  readonly proxyEnv: readonly string[];
  readonly signal: AbortSignal;
  readonly output: (bytes: Buffer) => void;
}

/** Runs it to its end. Throws StoreError with the exit code if that is not 0. */
export async function execute(
  { root, mounter }: Workshop,
  bench: Bench,
  run: Run,
  { proxyEnv, signal, output }: RunOptions,
): Promise<void> {
  const log = join(bench.path, "log");
  writeFileSync(log, "", { mode: 0o600 });
  const { running } = await launch(root, recordOf(bench.id, run, proxyEnv), bench, {
    mount: () => mounter.mount(bench.union),
    mounter,
    attachment: { kind: "detached", log },
    mounts: async () => [],
  });
  const kill = (): void => running.signal("SIGKILL");
  signal.addEventListener("abort", kill);
  if (signal.aborted) kill();
  const fd = openSync(log, "r");
  try {
    let code: number | undefined;
    const ended = running.ended.then((result) => {
      code = result;
    });
    for (;;) {
      // Looked at before the output: what it left is complete then.
      const over = code;
      drain(fd, output);
      if (over !== undefined) break;
      await Promise.race([sleep(patience), ended]);
    }
    signal.throwIfAborted();
    if (code !== 0) throw new StoreError(`exit code ${code}`);
  } finally {
    closeSync(fd);
    signal.removeEventListener("abort", kill);
  }
}

function drain(fd: number, output: (bytes: Buffer) => void): void {
  const buffer = Buffer.alloc(64 * 1024);
  for (;;) {
    const length = readSync(fd, buffer, 0, buffer.length, null);
    if (length === 0) return;
    output(Buffer.from(buffer.subarray(0, length)));
  }
}

function recordOf(id: string, run: Run, proxyEnv: readonly string[]): ContainerRecord {
  return {
    schema: 1,
    id,
    name: id,
    created: "",
    image: { id: "", name: "" },
    process: {
      args: run.args,
      entrypointLength: 0,
      env: [...proxyEnv, ...run.env],
      user: run.user,
      workingDirectory: run.workingDirectory,
      terminal: false,
      openStdin: false,
      stopSignal: "SIGTERM",
    },
    // The same each time, since programs write it down.
    hostname: "build",
    mounts: [],
    readOnly: false,
    autoRemove: false,
    runtime: "auto",
    labels: {},
    ...(run.network && { network: run.network }),
  };
}
