import { constants } from "node:os";
import { EINVAL, ESRCH, errnoName } from "../errno.js";
import { native } from "../native/index.js";
import { processStart } from "../native/process.js";
import { StoreError } from "../store/error.js";

/** What a process in a container is told when this program is. SIGKILL and SIGSTOP cannot be seen, and SIGCHLD is about this one's own. */
const forwarded = [
  ...["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT", "SIGWINCH"],
  ...["SIGURG", "SIGVTALRM", "SIGIO", "SIGPWR"],
] as const satisfies readonly NodeJS.Signals[];

/** Hands signals on until it is told to stop. */
export function forwardSignals(deliver: (signal: NodeJS.Signals) => void): () => void {
  const listener = (signal: NodeJS.Signals): void => deliver(signal);
  for (const signal of forwarded) process.on(signal, listener);
  return () => {
    for (const signal of forwarded) process.removeListener(signal, listener);
  };
}

/** The number of a signal by `TERM`, `SIGTERM` or `15`, or undefined. */
export function signalNumber(word: string): number | undefined {
  if (/^\d+$/.test(word)) return Number(word) >= 1 && Number(word) <= 64 ? Number(word) : undefined;
  const name = word.toUpperCase();
  const realTime = /^(?:SIG)?RTM(IN|AX)(?:([+-])(\d+))?$/.exec(name);
  if (realTime !== null) {
    const number = (realTime[1] === "IN" ? 34 : 64) + Number(`${realTime[2] ?? "+"}${realTime[3] ?? 0}`);
    return number >= 34 && number <= 64 ? number : undefined;
  }
  const known: Readonly<Record<string, number>> = constants.signals;
  return known[name.startsWith("SIG") ? name : `SIG${name}`];
}

/** Sends a signal to the process that has this pid and began at `start`, never to another that has got its pid since. False if it is gone. */
export function signalProcess(pid: number, start: string, signal: number | NodeJS.Signals): boolean {
  const fd = native.pidfdOpen(pid);
  if (fd === -ESRCH || fd === -EINVAL) return false;
  if (fd < 0) throw new StoreError(`process ${pid} cannot get a signal: ${errnoName(fd)}`);
  try {
    // The descriptor is that of whoever has the pid now.
    if (processStart(pid) !== start) return false;
    const sent = native.pidfdSendSignal(fd, typeof signal === "number" ? signal : constants.signals[signal]);
    if (sent === -ESRCH) return false;
    if (sent < 0) throw new StoreError(`process ${pid} cannot get a signal: ${errnoName(sent)}`);
    return true;
  } finally {
    native.close(fd);
  }
}

/** The exit code of a shell for a process that a signal ended. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
