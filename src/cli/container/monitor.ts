import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { watchContainer } from "../../assemble/container.js";
import { noteTimes } from "../../assemble/log-times.js";
import { StartError } from "../../assemble/start-error.js";
import { errnoName } from "../../errno.js";
import { S_IFIFO } from "../../layer/stat.js";
import { AT_FDCWD } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { placesOf, readContainer } from "../../store/containers.js";
import { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { bytesOf } from "../../text.js";
import { readLine, STARTER_FD } from "../driver.js";
import { messageOf } from "../exit.js";
import { daemonMounter } from "./mounter.js";

/** What the monitor of a detached container is told. */
export interface MonitorRequest {
  readonly root: string;
  readonly id: string;
}

/** Its one answer: an object on one line. */
export type MonitorAnswer = { readonly ready: true } | { readonly error: string; readonly exitCode: number };

/** Makes a file, another one than those have who are still attached to the run before. Returns a descriptor. */
function newFile(path: string): number {
  rmSync(path, { force: true });
  return openSync(path, "wx", 0o600);
}

function makePipe(path: string): void {
  rmSync(path, { force: true });
  const made = native.mknodAs(
    AT_FDCWD,
    bytesOf(path),
    S_IFIFO | 0o600,
    0,
    0,
    process.geteuid?.() ?? 0,
    process.getegid?.() ?? 0,
  );
  if (made < 0) throw new StoreError(`${path} cannot be made: ${errnoName(made)}`);
}

/**
 * The main function of a monitor: the process that starts a detached container, waits for its end, and tidies up. Its state file says how it
 * went. Ends the process.
 */
export async function monitorMain(): Promise<never> {
  const request = JSON.parse(readLine(STARTER_FD)) as MonitorRequest;
  // The driver must not inherit it.
  const starter = native.dup(STARTER_FD);
  closeSync(STARTER_FD);
  let answered = false;
  const answer = (message: MonitorAnswer): void => {
    if (answered) return;
    answered = true;
    try {
      writeSync(starter, `${JSON.stringify(message)}\n`);
    } catch {
      // Nobody waits for it any more: the container runs all the same.
    }
    native.close(starter);
  };
  try {
    const root = new DataRoot(request.root);
    const { process: wanted } = readContainer(root, request.id);
    process.title = `cowfs --monitor ${request.id}`;
    // A terminal that closes is not the container's, nor is a shell that is interrupted.
    for (const signal of ["SIGHUP", "SIGINT"] as const) process.on(signal, () => {});
    const { log, logTimes, input, end } = placesOf(root, request.id);
    let code: number | undefined;
    const stopNoting = noteTimes(log, logTimes);
    try {
      const exitCode = await watchContainer(root, request.id, {
        mounter: daemonMounter,
        attachment: { kind: "detached", log, stdin: wanted.openStdin ? input : undefined },
        prepare: () => {
          code = newFile(end);
          if (wanted.openStdin) makePipe(input);
        },
        started: () => answer({ ready: true }),
        forwardSignals: false,
      });
      if (code !== undefined) writeSync(code, `${exitCode}\n`);
    } finally {
      stopNoting();
    }
  } catch (error) {
    answer({ error: messageOf(error), exitCode: error instanceof StartError ? error.exitCode : 125 });
    process.exit(1);
  }
  process.exit(0);
}
