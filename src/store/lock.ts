import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EAGAIN, errnoName } from "../errno.js";
import { LOCK_EX, LOCK_NB, LOCK_SH, O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR } from "../native/constants.js";
import { native } from "../native/index.js";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import { checkInterruption, interruption } from "./interruption.js";

/**
 * Locks between commands, by flock(2) on files in `locks/`: the kernel gives them up when their owner ends, however it ends. The files
 * themselves stay, so that two commands never lock two files of one name.
 *
 * The lock `store` is held for moments only, while records change: publishing a layer, an image or a name, and removing what nothing uses.
 * Whoever removes looks for users while it holds the lock, and whoever publishes a user looks for what it uses. Nobody extracts, copies or
 * waits for a process with it. The lock of a container (`container-ID`) is held while its state changes; it is taken before `store`.
 */
export interface Lock {
  release(): void;
}

/** How often a lock that is taken is tried again, in milliseconds. */
const patience = 10;

interface Patience {
  readonly shared?: boolean;
  readonly limit?: number;
}

/**
 * Waits for a lock, for as long as its owner lives, or `limit` milliseconds: then undefined. Throws StoreError if the lock cannot be had
 * for another reason.
 */
export function takeLock(root: DataRoot, name: string, wait: Patience = {}): Promise<Lock | undefined> {
  return lockPath(join(root.locks, name), O_RDWR | O_CREAT, wait);
}

/** As `takeLock`, of a directory itself: for what may be removed, lock and all. Whoever has waited looks whether it is still there. */
export function lockDirectory(path: string, wait: Patience = {}): Promise<Lock | undefined> {
  return lockPath(path, O_RDONLY | O_DIRECTORY, wait);
}

async function lockPath(
  path: string,
  flags: number,
  { shared = false, limit = Number.POSITIVE_INFINITY }: Patience,
): Promise<Lock | undefined> {
  const fd = native.open(-100, Buffer.from(path, "utf8").toString("latin1"), flags, 0o600);
  if (fd < 0) throw new StoreError(`the lock ${path} cannot be opened: ${errnoName(fd)}`);
  const deadline = performance.now() + limit;
  // What is undone after an interruption waits as ever.
  const undoes = interruption.aborted;
  for (;;) {
    const result = native.flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
    if (result === 0) return { release: () => void native.close(fd) };
    if (result !== -EAGAIN || performance.now() >= deadline) {
      native.close(fd);
      if (result === -EAGAIN) return undefined;
      throw new StoreError(`${path} cannot be locked: ${errnoName(result)}`);
    }
    await sleep(patience);
    if (!undoes && interruption.aborted) {
      native.close(fd);
      checkInterruption();
    }
  }
}

/** Does something while a lock is held; waits for it without end. */
export async function withLock<T>(root: DataRoot, name: string, work: () => T | Promise<T>): Promise<T> {
  const lock = await takeLock(root, name);
  try {
    return await work();
  } finally {
    lock?.release();
  }
}

/** The lock under which records change: see above. */
export const storeLock = "store";
