import { defaultSpinMicroseconds, type MountConfig, type VolumeUses } from "../session/config.js";
import { shown } from "../text.js";
import { absolutePath, resolvedPath } from "./arguments.js";
import { UsageError } from "./exit.js";
import { splitLayers } from "./layer-list.js";
import { applyOptionList, defaultMountOptions, ioNamed, type MountOptions, whiteoutNamed } from "./mount-options.js";
import { sizeLimit, storageOptions } from "./storage-options.js";

/** The words of a mount command line, as commander collects them. Paths are bytes in latin1 strings. */
export interface MountWords {
  /** `[SOURCE] MOUNTPOINT`, or nothing. */
  readonly positionals: readonly string[];
  readonly lower: readonly string[];
  readonly upper?: string;
  readonly work?: string;
  readonly options: readonly string[];
  readonly storageOpt?: readonly string[];
  readonly foreground?: boolean;
  readonly debug?: boolean;
  readonly log?: string;
  readonly transport?: string;
  readonly whiteout?: string;
  readonly io?: string;
  readonly volatile?: boolean;
  readonly strict?: boolean;
  readonly readOnly?: boolean;
  /** Another program calls, as it would mount(8) or fuse-overlayfs: options that are not known are said, and skipped. */
  readonly asHelper?: boolean;
  /** Something is to be mounted over it. */
  readonly covered?: boolean;
  readonly volumeUses?: VolumeUses;
}

/** Everything a driver needs to start; plain data, so that it can be handed to another process. */
export interface MountPlan {
  readonly config: MountConfig;
  readonly foreground: boolean;
  /** The file the log is appended to. */
  readonly log?: string;
  /** The mountpoint is one that the user did not name: it is created if missing, and printed. */
  readonly impliedMountpoint: boolean;
  /** What was passed over: one line each, for the user and the log. */
  readonly remarks: readonly string[];
}

const transports = ["kernel", "fuse-native"] as const;

/** Turns the words into a plan. Nothing is created, and layers are not looked at. Throws UsageError. */
export function planMount(words: MountWords, cwd: string, root: boolean): MountPlan {
  const options = defaultMountOptions(root);
  for (const list of words.options) applyOptionList(options, list);
  const lists = words.lower.map(splitLayers);
  const lowers = [...lists.flatMap((list) => list.lowers), ...options.lowers];
  const dataLowers = [...lists.flatMap((list) => list.data), ...options.dataLowers];
  if (lowers.length === 0) {
    throw new UsageError("no lower layer is given: name at least one with --lower DIR or -o lowerdir=DIR");
  }
  const path = (value: string | undefined, name: string): string | undefined => {
    if (value === "") throw new UsageError(`${name} needs a path`);
    return value === undefined ? undefined : absolutePath(value, cwd);
  };
  const upper = path(words.upper ?? options.upper, "--upper");
  const work = path(words.work ?? options.work, "--work");
  const log = path(words.log, "--log");
  if (upper === undefined && words.work !== undefined) throw new UsageError("--work means nothing without --upper");

  const [unknown] = options.unknown;
  if (unknown !== undefined && words.asHelper !== true) throw new UsageError(unknown);
  const remarks = [...options.unknown.map((what) => `skipped: ${what}`), ...options.notices];
  if (upper === undefined && work !== undefined) remarks.push("workdir means nothing without upperdir and is skipped");

  const { mountpoint, source } = places(words.positionals, upper, cwd);
  const transport = transportNamed(words.transport ?? "kernel");
  const io = words.io === undefined ? options.io : ioNamed(words.io);
  if (transport === "fuse-native" && io === "passthrough") {
    throw new UsageError(
      "--io passthrough needs --transport kernel: the package fuse-native cannot pass files through",
    );
  }
  const flag = storageOptions(words.storageOpt ?? []).size;
  const size = flag === undefined ? options.size : sizeLimit("size", flag);
  if (size !== undefined && upper === undefined) throw new UsageError("size= limits the upper layer: it needs --upper");
  if (size !== undefined && transport !== "kernel") throw new UsageError("size= needs --transport kernel");
  const debug = words.debug === true || options.debug;
  return {
    config: {
      lowers: lowers.map((lower) => absolutePath(lower, cwd)),
      ...(dataLowers.length === 0 ? {} : { dataLowers: dataLowers.map((lower) => absolutePath(lower, cwd)) }),
      ...(upper === undefined ? {} : { upper, ...(work === undefined ? {} : { work }) }),
      ...(size === undefined ? {} : { size }),
      mountpoint: resolvedPath(mountpoint ?? `${upper}.merged`),
      source: options.source ?? source ?? "cowfs",
      readOnly: upper === undefined || words.readOnly === true || (options.readOnly && words.readOnly !== false),
      mountFlags: options.mountFlags,
      allowOther: options.allowOther,
      defaultPermissions: options.defaultPermissions,
      volatile: words.volatile === true || options.volatile,
      ...(options.syncsCopies ? { syncsCopies: true } : {}),
      ...(words.strict === true || options.strict ? { strict: true } : {}),
      userxattr: options.userxattr,
      whiteout: words.whiteout === undefined ? options.whiteout : whiteoutNamed(words.whiteout),
      xino: options.xino,
      ...ownershipOf(options),
      ...layoutOf(options),
      timeout: options.timeout,
      debug,
      spinMicroseconds: options.spinMicroseconds ?? defaultSpinMicroseconds,
      ...(options.idlePoll === undefined ? {} : { idlePoll: options.idlePoll }),
      io,
      ...(options.lowerPassthrough === undefined ? {} : { lowerPassthrough: options.lowerPassthrough }),
      transport,
      ...(words.covered === true ? { covered: true } : {}),
      ...(words.volumeUses === undefined ? {} : { volumeUses: words.volumeUses }),
    },
    foreground: words.foreground === true,
    ...(log === undefined ? {} : { log }),
    impliedMountpoint: mountpoint === undefined,
    remarks,
  };
}

/** How copies and renames are laid out in the upper. A metacopy that is renamed needs a redirect. */
function layoutOf({
  metacopy,
  index,
  redirectDir,
  verity,
}: MountOptions): Pick<MountConfig, "metacopy" | "index" | "redirectDir" | "verity"> {
  const redirects = redirectDir === undefined || redirectDir === "on";
  if (metacopy === true && !redirects) {
    throw new UsageError("metacopy=on needs redirect_dir=on: leave out one of metacopy=on and redirect_dir=…");
  }
  return {
    ...(metacopy === undefined && redirects ? {} : { metacopy: metacopy === true }),
    ...(index === undefined ? {} : { index }),
    ...(redirectDir === undefined ? {} : { redirectDir }),
    ...(verity === undefined ? {} : { verity }),
  };
}

/** `squash_to_root` is for what no other option names. */
function ownershipOf({ ownership, squashToRoot }: MountOptions): Pick<MountConfig, "ownership"> {
  const least = squashToRoot ? 0 : -1;
  const squashUid = Math.max(ownership.squashUid, least);
  const squashGid = Math.max(ownership.squashGid, least);
  const asked = { ...ownership, squashUid, squashGid };
  const any = asked.uids.length + asked.gids.length > 0 || Math.max(squashUid, squashGid) >= 0;
  return any || asked.xattrPermissions !== 0 ? { ownership: asked } : {};
}

/** The last positional is the mountpoint; one before it is a source, as mount(8) hands it to its helpers. */
function places(
  positionals: readonly string[],
  upper: string | undefined,
  cwd: string,
): { mountpoint?: string; source?: string } {
  const [first, second] = positionals;
  if (positionals.length > 2)
    throw new UsageError("too many arguments: mount takes one mountpoint, and a source before it");
  if (first === "" || second === "") throw new UsageError("the mountpoint is an empty word");
  if (first !== undefined && second !== undefined) return { mountpoint: absolutePath(second, cwd), source: first };
  if (first !== undefined) return { mountpoint: absolutePath(first, cwd) };
  if (upper !== undefined && upper !== "/") return {};
  throw new UsageError("no mountpoint is given: name a directory (only with --upper one is made beside it)");
}

function transportNamed(name: string): MountConfig["transport"] {
  const transport = transports.find((known) => known === name);
  if (transport === undefined) {
    throw new UsageError(`the transport ${shown(name)} is unknown: use one of ${transports.join(", ")}`);
  }
  return transport;
}
