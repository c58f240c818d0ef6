import { parseSize } from "../assemble/specs/size.js";
import {
  defaultMountFlags,
  type IdlePollOption,
  type IoPolicy,
  idlePollOptions,
  ioPolicies,
  type MountConfig,
  type MountFlags,
  type RedirectDir,
  spinMost,
  timeoutForever,
} from "../session/config.js";
import { shown } from "../text.js";
import type { Verity } from "../union/metacopy-mark.js";
import type { OwnershipOptions } from "../union/ownership.js";
import { UsageError } from "./exit.js";
import { parseId, parseIdMapping } from "./id-mapping.js";
import { splitLayers, unescapeAll } from "./layer-list.js";
import { isMeaningless, isMeaninglessSetting, unknownOption } from "./option-names.js";
import { sizeLimit } from "./storage-options.js";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** What a number of `-o` lists says. Paths are as written: not yet absolute. */
export interface MountOptions {
  lowers: string[];
  dataLowers: string[];
  upper?: string;
  work?: string;
  source?: string;
  readOnly: boolean;
  allowOther: boolean;
  defaultPermissions: boolean;
  volatile: boolean;
  syncsCopies: boolean;
  strict: boolean;
  debug: boolean;
  userxattr: boolean;
  whiteout: MountConfig["whiteout"];
  xino: MountConfig["xino"];
  io: IoPolicy;
  metacopy?: boolean;
  index?: boolean;
  redirectDir?: RedirectDir;
  verity?: Verity;
  /** Bytes. */
  size?: number;
  /** Seconds. */
  timeout: number;
  spinMicroseconds?: number;
  idlePoll?: IdlePollOption;
  lowerPassthrough?: MountConfig["lowerPassthrough"];
  ownership: Writable<OwnershipOptions>;
  squashToRoot: boolean;
  mountFlags: Writable<MountFlags>;
  /** What is wrong with options that are not known. */
  unknown: string[];
  /** What the user is told about options that are known, and cannot have their effect here. */
  notices: string[];
}

/** The state before any option. As root every user may use the mount, and programs keep their set-user-id bits. */
export function defaultMountOptions(root: boolean): MountOptions {
  return {
    lowers: [],
    dataLowers: [],
    readOnly: false,
    allowOther: root,
    defaultPermissions: true,
    volatile: false,
    syncsCopies: false,
    strict: false,
    debug: false,
    userxattr: false,
    whiteout: "auto",
    xino: "auto",
    io: "auto",
    timeout: timeoutForever,
    ownership: { uids: [], gids: [], squashUid: -1, squashGid: -1, xattrPermissions: 0 },
    squashToRoot: false,
    mountFlags: { ...defaultMountFlags(root) },
    unknown: [],
    notices: [],
  };
}

/**
 * Splits `a,b=c,d="e,f"` at its commas. Quotes may surround a value, with commas in it; `\\,` and `\\"` stand for the
 * character, and other escapes stay for the option to read. Empty items are left out: podman writes `work,,volatile`.
 */
export function splitOptionList(list: string): string[] {
  const items: string[] = [];
  let item = "";
  let quoted = false;
  for (let i = 0; i < list.length; i++) {
    const c = list[i] as string;
    if (c === "\\") {
      const next = list[++i] ?? "";
      item += next === "," || next === '"' ? next : c + next;
    } else if (c === '"' && (quoted || item === "" || item.endsWith("="))) quoted = !quoted;
    else if (c === "," && !quoted) {
      if (item !== "") items.push(item);
      item = "";
    } else item += c;
  }
  if (quoted) throw new UsageError(`a quote is not closed in -o ${shown(list)}`);
  if (item !== "") items.push(item);
  return items;
}

/** Throws UsageError for a name that is none. */
export function ioNamed(name: string): IoPolicy {
  const policy = ioPolicies.find((known) => known === name);
  if (policy === undefined) throw new UsageError(`io=${shown(name)} is unknown: use one of ${ioPolicies.join(", ")}`);
  return policy;
}

/** The format of whiteouts that a user names. */
export function whiteoutNamed(value: string): MountConfig["whiteout"] {
  if (value !== "auto" && value !== "overlay" && value !== "aufs" && value !== "xattr") {
    throw new UsageError(`the whiteout format ${shown(value)} is unknown: use auto, overlay, aufs or xattr`);
  }
  return value;
}

/** Options without a value. */
const flags: Record<string, (options: MountOptions) => void> = {
  ro: (o) => setReadOnly(o, true),
  rw: (o) => setReadOnly(o, false),
  suid: (o) => setFlag(o, "suid", true),
  nosuid: (o) => setFlag(o, "suid", false),
  dev: (o) => setFlag(o, "dev", true),
  nodev: (o) => setFlag(o, "dev", false),
  exec: (o) => setFlag(o, "exec", true),
  noexec: (o) => setFlag(o, "exec", false),
  diratime: (o) => setFlag(o, "nodiratime", false),
  nodiratime: (o) => setFlag(o, "nodiratime", true),
  symfollow: (o) => setFlag(o, "symfollow", true),
  nosymfollow: (o) => setFlag(o, "symfollow", false),
  async: (o) => setFlag(o, "sync", false),
  dirsync: (o) => setFlag(o, "dirsync", true),
  sync: (o) => setFlag(o, "sync", true),
  allow_other: (o) => {
    o.allowOther = true;
  },
  default_permissions: (o) => {
    o.defaultPermissions = true;
  },
  volatile: (o) => {
    o.volatile = true;
  },
  strict: (o) => {
    o.strict = true;
  },
  debug: (o) => {
    o.debug = true;
  },
  squash_to_root: (o) => {
    o.squashToRoot = true;
  },
  userxattr: (o) => {
    o.userxattr = true;
  },
  nooverride_creds: (o) => {
    o.notices.push("nooverride_creds is ignored: the driver always acts as the user who mounts");
  },
};

/** Options with a value. */
const settings: Record<string, (options: MountOptions, value: string) => void> = {
  lowerdir: (o, value) => {
    const { lowers, data } = splitLayers(value);
    o.lowers.push(...lowers);
    o.dataLowers.push(...data);
  },
  // One layer each, as in overlayfs since Linux 6.5: colons in them need no backslash.
  "lowerdir+": (o, value) => {
    o.lowers.push(pathValue("lowerdir+", value));
  },
  "datadir+": (o, value) => {
    o.dataLowers.push(pathValue("datadir+", value));
  },
  upperdir: (o, value) => {
    o.upper = pathValue("upperdir", value);
  },
  workdir: (o, value) => {
    o.work = pathValue("workdir", value);
  },
  fsname: (o, value) => {
    o.source = unescapeAll(value);
  },
  xino: (o, value) => {
    o.xino = choice("xino", value, ["off", "auto", "on"]);
  },
  io: (o, value) => {
    o.io = ioNamed(value);
  },
  lower_passthrough: (o, value) => {
    const size = value === "off" ? value : parseSize(value);
    if (size === undefined) {
      throw new UsageError(
        `lower_passthrough=${shown(value)} is no size: use off, or from how many bytes on, as in 512k or 4m`,
      );
    }
    o.lowerPassthrough = size;
  },
  metacopy: (o, value) => {
    o.metacopy = choice("metacopy", value, ["on", "off"]) === "on";
  },
  index: (o, value) => {
    o.index = choice("index", value, ["on", "off"]) === "on";
  },
  redirect_dir: (o, value) => {
    const chosen = choice("redirect_dir", value, ["on", "follow", "nofollow", "off"]);
    // What overlayfs's `off` is, too, unless its module was told otherwise.
    o.redirectDir = chosen === "off" ? "follow" : chosen;
  },
  nfs_export: (o, value) => {
    if (choice("nfs_export", value, ["on", "off"]) === "on") {
      o.notices.push("nfs_export=on is ignored: a mount of cowfs cannot be exported over NFS");
    }
  },
  uuid: (o, value) => {
    const chosen = choice("uuid", value, ["auto", "null", "on", "off"]);
    if (chosen === "on") o.notices.push("uuid=on is ignored: a FUSE mount has no id of its own for statfs(2)");
    if (chosen === "off") o.notices.push("uuid=off is ignored: origins always hold the UUID of their file system");
  },
  verity: (o, value) => {
    o.verity = choice("verity", value, ["off", "on", "require"]);
  },
  whiteout: (o, value) => {
    o.whiteout = whiteoutNamed(value);
  },
  size: (o, value) => {
    o.size = sizeLimit("size", value);
  },
  timeout: (o, value) => {
    o.timeout = numberValue("timeout", value, timeoutForever, "seconds");
  },
  spin: (o, value) => {
    o.spinMicroseconds = numberValue("spin", value, spinMost, "microseconds");
  },
  idle_poll: (o, value) => {
    o.idlePoll = choice("idle_poll", value, idlePollOptions);
  },
  uidmapping: (o, value) => {
    o.ownership.uids = parseIdMapping("uidmapping", value);
  },
  gidmapping: (o, value) => {
    o.ownership.gids = parseIdMapping("gidmapping", value);
  },
  squash_to_uid: (o, value) => {
    o.ownership.squashUid = parseId("squash_to_uid", value);
  },
  squash_to_gid: (o, value) => {
    o.ownership.squashGid = parseId("squash_to_gid", value);
  },
  xattr_permissions: (o, value) => {
    if (value !== "0" && value !== "1" && value !== "2") {
      throw new UsageError(
        `xattr_permissions=${shown(value)} is unknown: use 0 (off), 1 (security.*) or 2 (user.containers.*)`,
      );
    }
    o.ownership.xattrPermissions = value === "0" ? 0 : value === "1" ? 1 : 2;
  },
  fsync: (o, value) => {
    const chosen = choice("fsync", value, ["0", "1", "auto", "strict", "volatile"]);
    o.volatile = chosen === "0" || chosen === "volatile";
    o.syncsCopies = chosen === "strict";
  },
};

function setReadOnly(options: MountOptions, value: boolean): void {
  options.readOnly = value;
}

function setFlag(options: MountOptions, flag: keyof MountFlags, value: boolean): void {
  options.mountFlags[flag] = value;
}

function pathValue(name: string, value: string): string {
  const path = unescapeAll(value);
  if (path === "") throw new UsageError(`${name}= needs a path`);
  return path;
}

/** A number in decimal digits, from 0 to `most`. */
function numberValue(name: string, value: string, most: number, unit: string): number {
  const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  if (number <= most) return number;
  const why = number > most ? "is too much" : "is no such number";
  throw new UsageError(`${name}=${shown(value)} ${why}: use ${unit} from 0 to ${most}, in decimal digits`);
}

/** One of the words that an option may have as its value. */
function choice<T extends string>(name: string, value: string, known: readonly T[]): T {
  const chosen = known.find((word) => word === value);
  if (chosen !== undefined) return chosen;
  throw new UsageError(`${name}=${shown(value)} is unknown: use ${known.map((word) => `${name}=${word}`).join(", ")}`);
}

/** Applies the items of one `-o` list, in their order: what comes later wins, except that layers add up. */
export function applyOptionList(options: MountOptions, list: string): void {
  for (const item of splitOptionList(list)) {
    const equals = item.indexOf("=");
    const name = equals < 0 ? item : item.slice(0, equals);
    if (equals < 0 && Object.hasOwn(flags, name)) flags[name]?.(options);
    else if (equals >= 0 && Object.hasOwn(settings, name)) settings[name]?.(options, item.slice(equals + 1));
    else if (equals < 0 && Object.hasOwn(settings, name))
      throw new UsageError(`the option ${name} needs a value: ${name}=…`);
    else if (equals >= 0 && Object.hasOwn(flags, name) && !isMeaninglessSetting(name))
      throw new UsageError(`the option ${name} takes no value: leave out ${shown(item.slice(equals))}`);
    else if (!isMeaningless(name))
      options.unknown.push(unknownOption(item, [...Object.keys(flags), ...Object.keys(settings)]));
  }
}
