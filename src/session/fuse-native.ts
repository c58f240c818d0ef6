import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ERANGE, errnoName, ignore } from "../errno.js";
import { native } from "../native/index.js";
import { topMountOn } from "../native/mountinfo.js";
import { shown } from "../text.js";
import { MountError } from "../union/mount-error.js";
import { openUnion } from "../union/open.js";
import type { Union } from "../union/union.js";
import type { Log, MountConfig } from "./config.js";
import { PackageOperations } from "./fuse-native-ops.js";
import { endSignals, unionOptions } from "./lifecycle.js";
import { type Mounted, unmount } from "./mount.js";
import { openStatePlaces, removeState, writeState } from "./state.js";
import { checkStrictly } from "./strict.js";

/** How often the mount table is asked whether the mount is still there, in milliseconds: the package does not tell. */
const watchInterval = 200;

/** The part of the package's class that is used. */
interface PackageMount {
  mount(done: (error: Error | null | undefined) => void): void;
}

type Signal = (result: number, memory: ArrayBufferLike) => void;

/** Methods of the package's class that have to be replaced. */
interface PackageInternals {
  ops: PackageOperations;
  _fuseOptions(): string;
  _op_getxattr(signal: Signal, path: string, name: string, out: Buffer, position: number): void;
  _op_listxattr(signal: Signal, path: string, out: Buffer): void;
}

type PackageClass = new (mountpoint: string, operations: PackageOperations, options: object) => PackageMount;

/** dlopen(3): RTLD_LAZY | RTLD_GLOBAL | RTLD_NODELETE. */
const keepLoaded = 0x1 | 0x100 | 0x1000;

/**
 * Loads the package. Its addon needs libfuse.so.2, which it brings but does not find by itself on a system without it: the
 * library is loaded first and stays, so that the addon gets it by its name.
 */
function loadPackage(mountpoint: string): PackageClass {
  const require = createRequire(import.meta.filename);
  let cause: unknown;
  try {
    const library = join(dirname(require.resolve("fuse-shared-library-linux")), "libfuse", "lib", "libfuse.so");
    if (existsSync(library)) process.dlopen({ exports: {} }, library, keepLoaded);
  } catch (error) {
    // Node complains that the library is no addon; it is loaded all the same.
    cause = error;
  }
  try {
    return require("fuse-native") as PackageClass;
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new MountError(
      `the npm package fuse-native cannot be loaded: ${why}: install it (npm install fuse-native) or use --transport kernel`,
      mountpoint,
      { cause: error ?? cause },
    );
  }
}

/** Commas and backslashes separate and escape in libfuse's option string. */
function optionValue(text: string): string {
  return text.replace(/[,\\]/g, "\\$&");
}

function optionString(config: MountConfig): string {
  const { mountFlags: flags } = config;
  const options = [
    "subtype=cowfs",
    `fsname=${optionValue(shown(config.source))}`,
    "use_ino",
    "big_writes",
    `entry_timeout=${config.timeout}`,
    // To libfuse each path is a file of its own: what changes through one hard link must not be remembered for another.
    "attr_timeout=0",
    `negative_timeout=${config.timeout}`,
    config.readOnly || config.upper === undefined ? "ro" : "rw",
    flags.suid ? "suid" : "nosuid",
    flags.dev ? "dev" : "nodev",
    flags.exec ? "exec" : "noexec",
    flags.noatime ? "noatime" : "atime",
  ];
  if (config.allowOther) options.push("allow_other");
  if (config.defaultPermissions) options.push("default_permissions");
  return `-o${options.join(",")}`;
}

/** An object of the package's class with our option string, and with the buffer checks it lacks. */
function newMount(Package: PackageClass, config: MountConfig, union: Union): PackageMount {
  const operations = new PackageOperations(union);
  const instance = new Package(shown(config.mountpoint), operations, { timeout: false });
  const internals = instance as unknown as PackageInternals;
  internals._fuseOptions = () => optionString(config);
  // The package answers with the true length even where the caller's buffer is shorter, and libfuse then reads beyond it.
  internals._op_getxattr = (signal, path, name, out, position) => {
    operations.getxattr(path, name, position, (error, value) => fill(signal, out, error, value));
  };
  internals._op_listxattr = (signal, path, out) => {
    operations.listxattr(path, (error, names) =>
      fill(signal, out, error, names && Buffer.from(names.map((name) => `${name}\0`).join(""))),
    );
  };
  return instance;
}

function fill(signal: Signal, out: Buffer, error: number, value: Buffer | undefined): void {
  if (error < 0 || value === undefined) signal(error, out.buffer);
  else if (out.length > 0 && value.length > out.length) signal(-ERANGE, out.buffer);
  else {
    ignore(value.copy(out), "checked above");
    signal(value.length, out.buffer);
  }
}

/** The second transport: the same union over the npm package fuse-native. See docs/fuse-native.md for its limits. */
export async function runFuseNative(config: MountConfig, log: Log, onReady: () => void): Promise<number> {
  const Package = loadPackage(config.mountpoint);
  if (!config.mountFlags.symfollow) log("warn", "nosymfollow has no effect: libfuse 2 does not know it");
  ignore(native.umask(0), "libfuse has applied the callers' masks");
  const statePlaces = openStatePlaces(config.mountpoint, log);
  const union = openUnion(unionOptions(config, log));
  let mounted: Mounted;
  try {
    if (config.strict === true) checkStrictly(union);
    await new Promise<void>((resolve, reject) => {
      newMount(Package, config, union).mount((error) => (error ? reject(error) : resolve()));
    });
    const entry = topMountOn(config.mountpoint);
    if (entry === undefined) throw new Error("the mount is not in the mount table");
    mounted = { channel: -1, major: entry.major, minor: entry.minor, settings: -1 };
  } catch (cause) {
    union.close();
    if (cause instanceof MountError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MountError(`${shown(config.mountpoint)}: fuse-native cannot mount: ${why}`, config.mountpoint, { cause });
  }
  const statePath = writeState(config, mounted.minor, log, statePlaces);
  onReady();
  await ended(config, mounted, log);
  union.close();
  if (statePath !== undefined) removeState(statePath, log);
  return 0;
}

/** Resolves when the mount has gone; unmounts it at the first signal that asks for the end. */
function ended(config: MountConfig, mounted: Mounted, log: Log): Promise<void> {
  return new Promise((resolve) => {
    const gone = (): void => {
      clearInterval(timer);
      for (const signal of endSignals) process.off(signal, onSignal);
      resolve();
    };
    const onSignal = (signal: NodeJS.Signals): void => {
      log("info", `${signal}: unmounting`);
      unmount(config.mountpoint, mounted, (result) => {
        if (result < 0) log("warn", `cannot unmount: ${errnoName(result)}`);
        else gone();
      });
    };
    const timer = setInterval(() => {
      const top = topMountOn(config.mountpoint);
      if (top?.major !== mounted.major || top.minor !== mounted.minor) gone();
    }, watchInterval);
    for (const signal of endSignals) process.on(signal, onSignal);
  });
}
