import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { errnoName } from "../../errno.js";
import { MNT_DETACH, UMOUNT_NOFOLLOW } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { readMounts } from "../../native/mountinfo.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { takeLock } from "../../store/lock.js";
import { abandonedTemporaries, removeTree } from "../../store/temporary.js";
import { endProcesses, launchPlaces } from "../launch.js";
import type { Finding } from "./finding.js";

/**
 * How old a lock is that cannot be one that somebody is just about to take, and a file that cannot be one that somebody is just about to
 * rename, in milliseconds. A writer's pid tells less: it may be one of another pid namespace.
 */
const settled = 10 * 60_000;

function isSettled(path: string): boolean {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) >= settled;
}

/** What is being built or taken away by somebody who is gone; files of atomic writes that came to nothing; and locks of what there is no more. */
export async function checkTemporaries(root: DataRoot): Promise<Finding[]> {
  const abandoned = (await abandonedTemporaries(root)).map((path): Finding => {
    const name = path.slice(root.path.length + 1);
    return {
      what: name,
      problem: "the command that was at work there is gone",
      remedy: "remove it",
      repair: async () => {
        await endSteps(path);
        unmountBelow(path);
        removeTree(path);
        rmSync(join(root.locks, `tmp-${path.slice(root.temporary.length + 1)}`), { force: true });
      },
    };
  });
  return [...abandoned, ...(await staleLocks(root)), ...halfWritten(root)];
}

/** Ends the programs of a build's steps that are left. */
async function endSteps(path: string): Promise<void> {
  if (!/\/build-[0-9a-f]+$/.test(path)) return;
  for (const name of readdirSync(path)) {
    const places = launchPlaces(join(path, name));
    await endProcesses(places, places.id);
  }
}

/** Whether somebody is at work on something with such a name. Temporaries of the process itself count too. */
export async function isAtWork(root: DataRoot, what: RegExp): Promise<boolean> {
  const gone = new Set(await abandonedTemporaries(root));
  return readdirSync(root.temporary).some((name) => what.test(name) && !gone.has(join(root.temporary, name)));
}

/** Removing must not reach into what is mounted: it belongs to somebody else. Throws StoreError. */
export function unmountBelow(path: string): void {
  const bytes = Buffer.from(path, "utf8").toString("latin1");
  const isBelow = (mountpoint: string): boolean => mountpoint === bytes || mountpoint.startsWith(`${bytes}/`);
  for (const { mountpoint } of readMounts().reverse()) {
    if (!isBelow(mountpoint)) continue;
    const result = native.umount(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (result < 0) throw new StoreError(`${path}: what is mounted there cannot be unmounted: ${errnoName(result)}`);
  }
}

/** Locks of temporaries and containers that are gone. Their names are never used again, so nobody waits for them but who has just made one. */
async function staleLocks(root: DataRoot): Promise<Finding[]> {
  const findings: Finding[] = [];
  const present = new Set([
    ...readdirSync(root.temporary).map((name) => `tmp-${name}`),
    ...readdirSync(root.containers).map((id) => `container-${id}`),
  ]);
  for (const name of readdirSync(root.locks)) {
    if (!/^(tmp|container)-/.test(name) || present.has(name)) continue;
    const path = join(root.locks, name);
    if (!isSettled(path)) continue;
    const lock = await takeLock(root, name, { limit: 0 });
    if (lock === undefined) continue;
    lock.release();
    findings.push({
      what: `locks/${name}`,
      problem: "it is the lock of something that is gone",
      remedy: "remove it",
      repair: () => rmSync(path, { force: true }),
    });
  }
  return findings;
}

/** `FILE.PID.new`, written and not yet renamed when its process was killed. */
function halfWritten(root: DataRoot): Finding[] {
  const directories = [
    root.path,
    ...[root.images, root.containers, root.volumes].flatMap((kind) => [kind, ...within(kind)]),
  ];
  return directories.flatMap((directory) =>
    namesIn(directory).flatMap((name): Finding[] => {
      const path = join(directory, name);
      if (!/\.\d+\.new$/.test(name) || !isSettled(path)) return [];
      return [
        {
          what: path.slice(root.path.length + 1),
          problem: "its writer was killed before it was complete",
          remedy: "remove it",
          repair: () => rmSync(path, { force: true }),
        },
      ];
    }),
  );
}

/** None of what was removed since it was listed: others may be at work. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function within(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(directory, name));
}
