import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import { type Lock, takeLock } from "./lock.js";
import { destroySubvolumesIn } from "./subvolumes.js";

/**
 * A directory below `tmp/` that belongs to this process: what is built there is published by one rename, or removed. The lock `tmp-NAME`
 * says that its owner lives; what has none was left by a crash, and `cowfs system check --repair` removes it.
 */
export interface Temporary {
  readonly path: string;
  /** Removes what is still there, and gives up the lock. Safe to call twice. */
  dispose(): void;
}

export async function makeTemporary(root: DataRoot, what: string): Promise<Temporary> {
  const name = `${what}-${randomBytes(8).toString("hex")}`;
  const lock = (await takeLock(root, `tmp-${name}`)) as Lock;
  const path = join(root.temporary, name);
  mkdirSync(path, { mode: 0o700 });
  return {
    path,
    dispose: () => {
      removeTree(path);
      rmSync(join(root.locks, `tmp-${name}`), { force: true });
      lock.release();
    },
  };
}

/**
 * Removes a file or a directory with all that is in it, if it is there. Node goes by paths, and from one call into the next: a tree of a layer may have
 * longer ones than the kernel takes, and more of them than the stack has room for; then rm(1) does it. Throws Node's exceptions, or StoreError.
 */
export function removeTree(path: string): void {
  if (existsSync(path)) destroySubvolumesIn(path);
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (cause) {
    const isDeep = (cause as NodeJS.ErrnoException).code === "ENAMETOOLONG" || cause instanceof RangeError;
    if (!isDeep) throw cause;
    const { status, stderr, error } = spawnSync("rm", ["-rf", "--", path], { encoding: "utf8" });
    if (status !== 0) {
      throw new StoreError(`${path} cannot be removed: ${error?.message ?? stderr.trim()}`, { cause });
    }
  }
}

/** The temporaries whose owner is gone. */
export async function abandonedTemporaries(root: DataRoot): Promise<string[]> {
  const abandoned: string[] = [];
  for (const name of readdirSync(root.temporary)) {
    const lock = await takeLock(root, `tmp-${name}`, { limit: 0 });
    if (lock === undefined) continue;
    const path = join(root.temporary, name);
    // It may have been disposed of since the names were read: then the lock is a new file, of no use to anybody.
    if (existsSync(path)) abandoned.push(path);
    else rmSync(join(root.locks, `tmp-${name}`), { force: true });
    lock.release();
  }
  return abandoned;
}
