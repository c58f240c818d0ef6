/** The limit on what an upper holds: a project quota of its file system, or if that keeps none, counted. */
import { errnoName } from "../errno.js";
import { limitByProject, type ProjectQuota, unlimit } from "../layer/project-quota.js";
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
  readonly upper: number;
  readonly work: number;
  readonly upperPath: string;
  readonly log: Log;
}

/** Who keeps the limit: the file system, or the driver. */
export type Limit = ProjectQuota | Quota | null;

/** Sets the limit, before anything is made in the two directories. Throws MountError. */
export function limitUpper({ size, upper, work, upperPath, log }: Limited): Limit {
  if (size === undefined) {
    const r = unlimit(upper);
    if (r < 0) log("warn", `the size of upper layer ${shown(upperPath)} stays limited: ${errnoName(r)}`);
    return null;
  }
  const project = limitByProject(upper, work, size);
  if (project !== null && typeof project !== "number") {
    sayExceeded(project, upperPath, log);
    return project;
  }
  if (project !== null) {
    log("info", "the driver counts: the project quota of the upper's file system cannot be used", {
      error: errnoName(project),
    });
  }
  const statfs = new Uint8Array(120);
  const r = native.statfs(upper, statfs);
  if (r < 0) throw new MountError(`cannot look at the file system of upper layer ${shown(upperPath)}: ${errnoName(r)}`);
  return new Quota(size, statfs);
}

/** Counts what the upper holds; `index` is the directory of hard links, or -1. Throws MountError. */
export function countUpper(quota: Quota, { upper, upperPath, log }: Limited, index: number): void {
  let r = countTree(quota, upper);
  if (r === 0 && index >= 0) r = countTree(quota, index);
  if (r < 0)
    throw new MountError(`cannot count what upper layer ${shown(upperPath)} holds: ${errnoName(r)}`, upperPath);
  sayExceeded(quota, upperPath, log);
}

function sayExceeded({ limit, used }: ProjectQuota | Quota, upperPath: string, log: Log): void {
  if (used <= limit) return;
  log(
    "warn",
    `the upper layer ${shown(upperPath)} holds ${used} bytes, more than its size of ${limit}: nothing can be written until some are removed`,
  );
}
