import { signalNumber } from "../../assemble/signals.js";
import { signalContainer, stopContainer, untilEnded } from "../../assemble/stop.js";
import { findContainer } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { print, UsageError } from "../exit.js";
import { forEachWord } from "./each.js";
import { daemonMounter } from "./mounter.js";
import { startDetached } from "./run.js";

/** How long a container may take to end, in seconds. */
const defaultPatience = 10;

/** `cowfs stop`. Returns the exit code. */
export function stopCommand(root: DataRoot, names: readonly string[], words: { time?: string }): Promise<number> {
  const limit = limitOf(words);
  return forEachWord(names, async (name) => {
    await stopContainer(root, findContainer(root, name), daemonMounter, limit);
    print(`${name}\n`);
  });
}

/** `cowfs restart`: one that does not run is started, too. Returns the exit code. */
export function restartCommand(root: DataRoot, names: readonly string[], words: { time?: string }): Promise<number> {
  const limit = limitOf(words);
  return forEachWord(names, async (name) => {
    const record = findContainer(root, name);
    if (record.autoRemove)
      throw new StoreError(`container ${record.name} is removed when it ends (--rm): run it again`);
    await stopContainer(root, record, daemonMounter, limit);
    await startDetached(root, record.id);
    print(`${name}\n`);
  });
}

/** A negative number is for ever. */
function limitOf({ time }: { time?: string }): number {
  const seconds = time === undefined ? defaultPatience : Number(time);
  if (!Number.isFinite(seconds)) throw new UsageError(`${time} is no number of seconds`);
  return seconds < 0 ? Number.POSITIVE_INFINITY : seconds;
}

/** `cowfs kill`. Returns the exit code. */
export function killCommand(root: DataRoot, names: readonly string[], words: { signal?: string }): Promise<number> {
  const signal = signalNumber(words.signal ?? "KILL");
  if (signal === undefined) throw new UsageError(`invalid signal: ${words.signal}`);
  return forEachWord(names, (name) => {
    signalContainer(root, findContainer(root, name), signal);
    print(`${name}\n`);
  });
}

/** `cowfs wait`: prints the exit codes of containers once they have ended. Returns the exit code of the command. */
export function waitCommand(root: DataRoot, names: readonly string[]): Promise<number> {
  return forEachWord(names, async (name) => {
    const state = await untilEnded(root, findContainer(root, name).id, daemonMounter);
    const code = typeof state === "string" ? 0 : (state.exitCode ?? 0);
    print(`${code}\n`);
  });
}
