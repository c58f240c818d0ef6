import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DataRoot } from "./data-root.js";
import { type Lock, takeLock } from "./lock.js";

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
      rmSync(path, { recursive: true, force: true });
      rmSync(join(root.locks, `tmp-${name}`), { force: true });
      lock.release();
    },
  };
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
