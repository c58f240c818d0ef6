import { isatty } from "node:tty";
import { watchContainer } from "../../assemble/container.js";
import { switchDriver } from "../../assemble/drivers/switch.js";
import { StartError } from "../../assemble/start-error.js";
import { findContainer, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import type { ContainerRecord } from "../../store/records.js";
import { startMonitor } from "../daemon.js";
import { CommandError, complain, EXIT_RUN_FAILED, messageOf, print, UsageError } from "../exit.js";
import { orderly } from "../orderly.js";
import { createContainer } from "./create.js";
import type { CreateWords } from "./create-words.js";
import { daemonMounter } from "./mounter.js";

export interface RunWords extends CreateWords {
  readonly detach?: boolean;
}

/** `cowfs run`: creates, starts and, unless detached, waits. Returns the exit code of the container's program, or 125, 126, 127. */
export async function runCommand(
  root: DataRoot,
  image: string,
  command: readonly string[],
  words: RunWords,
): Promise<number> {
  try {
    const detached = words.detach === true;
    checkTerminal(words, detached);
    const record = await orderly(() => createContainer(root, image, command, words));
    if (!detached) return await watchHere(root, record, words.interactive === true);
    await startMonitor({ root: root.path, id: record.id });
    print(`${record.id}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof StoreError || error instanceof CommandError)) throw error;
    complain(messageOf(error));
    return error instanceof StartError ? error.exitCode : EXIT_RUN_FAILED;
  }
}

/** Keys can reach a terminal in a container only from a terminal. */
function checkTerminal({ tty, interactive }: RunWords, detached: boolean): void {
  if (tty === true && interactive === true && !detached && !isatty(0)) {
    throw new UsageError("the input device is not a terminal: leave out -t, or run in a terminal");
  }
}

/** Starts a container whose standard descriptors are ours, and waits for its end. Returns its exit code. */
function watchHere(root: DataRoot, { id }: ContainerRecord, stdin: boolean): Promise<number> {
  return watchContainer(root, id, {
    mounter: daemonMounter,
    attachment: { kind: "foreground", stdin },
    started: () => {},
    forwardSignals: true,
  });
}

export interface StartWords {
  readonly attach?: boolean;
  readonly interactive?: boolean;
  readonly driver?: string;
}

/** `cowfs start`: returns once they run; with `--attach`, for one container, when it has ended, its exit code. */
export async function startCommand(root: DataRoot, names: readonly string[], words: StartWords): Promise<number> {
  const attached = words.attach === true || words.interactive === true;
  if (attached && names.length > 1) throw new UsageError("one container at a time can be attached to");
  let code = 0;
  for (const name of names) {
    try {
      const record = findContainer(root, name);
      if (words.driver !== undefined) await switchDriver(root, record, words.driver, daemonMounter);
      if (attached) return await watchHere(root, record, words.interactive === true && record.process.openStdin);
      await startDetached(root, record.id);
      print(`${name}\n`);
    } catch (error) {
      if (!(error instanceof StoreError || error instanceof CommandError)) throw error;
      complain(messageOf(error));
      code = attached && error instanceof StartError ? error.exitCode : 1;
    }
  }
  return code;
}

/** Starts a container that does not run yet; somebody else may be as quick. */
export async function startDetached(root: DataRoot, id: string): Promise<void> {
  const runs = (): boolean => readState(root, id).status === "running";
  if (runs()) return;
  try {
    await startMonitor({ root: root.path, id });
  } catch (error) {
    if (!runs()) throw error;
  }
}
