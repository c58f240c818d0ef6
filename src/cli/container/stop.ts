import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { signalNumber } from "../../assemble/signals.js";
import { signalContainer, stopContainer, untilEnded } from "../../assemble/stop.js";
import { findContainer, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { forEachWord } from "../each.js";
import { print, UsageError } from "../exit.js";
import { exitCodeOf, openEnd } from "./end.js";
import { daemonMounter } from "./mounter.js";
import { startDetached } from "./run.js";

/** How long a container may take to end, in seconds. */
const defaultPatience = 10;
/** How often it is asked whether the exit code of one that is removed is there, in milliseconds. */
const patience = 20;

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
  return forEachWord(names, async (name) => print(`${await endOf(root, findContainer(root, name).id)}\n`));
}

/** The exit code of a container once it has ended; 0 if it ran in the foreground and was removed then. */
async function endOf(root: DataRoot, id: string): Promise<number> {
  const before = readState(root, id);
  const end = before.status === "running" && before.detached === true ? openEnd(root, id) : undefined;
  try {
    const state = await untilEnded(root, id, daemonMounter);
    if (typeof state === "object") return state.exitCode ?? 0;
    for (; end !== undefined; await sleep(patience)) {
      const code = exitCodeOf(end, before);
      if (code !== undefined) return code;
    }
    return 0;
  } finally {
    if (end !== undefined) closeSync(end);
  }
}
