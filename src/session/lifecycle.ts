import type { UnionOptions } from "../union/open.js";
import type { Log, MountConfig } from "./config.js";

/** The signals that ask a driver to unmount and end. */
export const endSignals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** What a mount's configuration says about its union. */
export function unionOptions(config: MountConfig, log: Log): UnionOptions {
  return {
    lowers: config.lowers,
    ...(config.dataLowers === undefined ? {} : { dataLowers: config.dataLowers }),
    ...(config.metacopy === undefined ? {} : { metacopy: config.metacopy }),
    index: config.index,
    redirectDir: config.redirectDir,
    verity: config.verity,
    size: config.size,
    counts: config.io !== "passthrough",
    upper: config.upper,
    work: config.work,
    readOnly: config.readOnly,
    volatile: config.volatile,
    ownership: config.ownership,
    whiteout: config.whiteout,
    userxattr: config.userxattr,
    mountpoint: config.mountpoint,
    log,
  };
}
