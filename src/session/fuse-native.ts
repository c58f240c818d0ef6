import { MountError } from "../union/mount-error.js";
import type { Log, MountConfig } from "./config.js";

/** The second transport: the same union over the npm package fuse-native. */
export function runFuseNative(config: MountConfig, _log: Log, _onReady: () => void): Promise<number> {
  return Promise.reject(
    new MountError("the transport fuse-native is not built yet: use --transport kernel", config.mountpoint),
  );
}
