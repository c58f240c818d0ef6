/** The limit on what an upper holds: a project quota of its file system, or if that keeps none, counted. */
import { EXDEV, errnoName } from "../errno.js";
import { limitByProject, ProjectQuota, unlimit } from "../layer/project-quota.js";
import { native } from "../native/index.js";
import { countTree } from "./count-upper.js";
import { MountError } from "./mount-error.js";
import { shown } from "./paths.js";
import { Quota } from "./quota.js";
import type { Log } from "./union.js";

/** Where a limit is wanted. Descriptors may be O_PATH. */
export interface Limited {
  /** Bytes; without one, the limit of an earlier mount is taken away. */
  readonly size: number | undefined;
  /** The driver may keep it. */
  readonly counts: boolean;
  readonly upper: number;
  readonly work: number;
  readonly upperPath: string;
  readonly log: Log;
}

/** Who keeps the limit: the file system, or the driver. */
export type Limit = ProjectQuota | Quota | null;

/** Chooses who keeps the limit, before anything is made in the two directories. It holds from `enforce` on. Throws MountError. */
export function limitUpper({ size, counts, upper, work, upperPath, log }: Limited): Limit {
  if (size === undefined) {
    const r = unlimit(upper, work);
    if (r === -EXDEV) throw otherProject(upperPath);
    if (r < 0) log("warn", `the size of upper layer ${shown(upperPath)} stays limited: ${errnoName(r)}`);
    return null;
  }
  const project = limitByProject(upper, work, size);
  if (project instanceof ProjectQuota) return project;
  if (project === -EXDEV) throw otherProject(upperPath);
  if (project !== null) {
    log("info", "the driver counts: the project quota of the upper's file system cannot be used", {
      error: errnoName(project),
    });
  }
  if (!counts) {
    throw new MountError(
      `size= together with --io passthrough needs project quotas for upper layer ${shown(upperPath)} (ext4 mounted with prjquota, xfs with pquota, and no content before the first limit): leave out --io`,
      upperPath,
    );
  }
  const statfs = new Uint8Array(120);
  const r = native.statfs(upper, statfs);
  if (r < 0) throw new MountError(`cannot look at the file system of upper layer ${shown(upperPath)}: ${errnoName(r)}`);
  return new Quota(size, statfs);
}

function otherProject(upperPath: string): MountError {
  return new MountError(
    `the work directory of upper layer ${shown(upperPath)} belongs to another project than that (see lsattr -pd), so nothing can be moved from it to the upper: remove what is in the work directory`,
    upperPath,
  );
}

/** The limit holds from now on; `index` is the directory of hard links, or -1. Throws MountError. */
export function enforce(limit: ProjectQuota | Quota, { upper, upperPath, log }: Limited, index: number): void {
  let r = limit instanceof ProjectQuota ? limit.enforce() : countTree(limit, upper);
  if (r === 0 && limit instanceof Quota && index >= 0) r = countTree(limit, index);
  if (r < 0) throw new MountError(`cannot limit upper layer ${shown(upperPath)}: ${errnoName(r)}`, upperPath);
  const { used } = limit;
  if (used <= limit.limit) return;
  log(
    "warn",
    `the upper layer ${shown(upperPath)} holds ${used} bytes, more than its size of ${limit.limit}: nothing can be written until some are removed`,
  );
}
