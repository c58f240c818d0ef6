/** What a mount is asked to be: filled in by the command line, read by the session. */

import type { Verity } from "../union/metacopy-mark.js";
import type { OwnershipOptions } from "../union/ownership.js";
import type { WhiteoutFormat } from "../union/workdir.js";

/** What cowfs calls itself to mount(2), and how its mounts are told from others. */
export const fileSystemType = "fuse.cowfs";

/** Where a session reports. `details` are structured fields for the log, never needed to understand `message`. */
export type Log = (level: "debug" | "info" | "warn" | "error", message: string, details?: object) => void;

/** The flags of mount(2) that a user may choose, and those of FUSE's option string that are no flags of mount(2). */
export interface MountFlags {
  /** Set-user-id bits and file capabilities count (otherwise MS_NOSUID). */
  readonly suid: boolean;
  /** Device files can be opened (otherwise MS_NODEV). */
  readonly dev: boolean;
  /** Programs can be executed (otherwise MS_NOEXEC). */
  readonly exec: boolean;
  /** MS_NOATIME. Reading never changes the access times of a union, so nothing else is worth a choice by default. */
  readonly noatime: boolean;
  /** MS_NODIRATIME. */
  readonly nodiratime: boolean;
  /** MS_SYNCHRONOUS. */
  readonly sync: boolean;
  /** MS_DIRSYNC. */
  readonly dirsync: boolean;
  /** Symbolic links are followed (otherwise MS_NOSYMFOLLOW, since Linux 5.10). */
  readonly symfollow: boolean;
}

/** The flags of a mount for which nothing was said: as root `suid,dev`, otherwise `nosuid,nodev`; always `exec,noatime`. */
export function defaultMountFlags(root: boolean): MountFlags {
  return {
    suid: root,
    dev: root,
    exec: true,
    noatime: true,
    nodiratime: false,
    sync: false,
    dirsync: false,
    symfollow: true,
  };
}

/** Under which id, in which data root (text), volumes of plugins are in use. */
export interface VolumeUses {
  readonly root: string;
  readonly id: string;
}

/** One mount. All paths are absolute, as bytes in latin1 strings (one character, one byte). */
export interface MountConfig {
  /** The read-only layers, topmost first. */
  readonly lowers: string[];
  /** Layers below those, which show nothing and only hold the data of metacopies. */
  readonly dataLowers?: string[];
  /** The writable layer; without one the mount is read-only. */
  readonly upper?: string;
  /** The work directory, on the file system of `upper` and outside of it. */
  readonly work?: string;
  /** The most bytes that `upper` may hold. */
  readonly size?: number;
  readonly mountpoint: string;
  /** What the first column of /proc/self/mounts says (`fsname=`). */
  readonly source: string;
  /** MS_RDONLY; implied by a missing `upper`. */
  readonly readOnly: boolean;
  readonly mountFlags: MountFlags;
  /** Processes of other users may use the mount. */
  readonly allowOther: boolean;
  /** The kernel checks permissions from owner, mode and ACL. Without it nothing does. */
  readonly defaultPermissions: boolean;
  /** Nothing in the upper may be damaged. */
  readonly strict?: boolean;
  /** fsync and its family are answered without doing anything; nothing survives a crash of the machine. */
  readonly volatile: boolean;
  /** Each copy of a lower file is synced before it is used; otherwise soon afterwards. */
  readonly syncsCopies?: boolean;
  /** Copy-up leaves data below until it changes. Default: yes, where marks are `trusted.` attributes. */
  readonly metacopy?: boolean;
  /** Copies of lower files with several links are kept in an index, so that they stay one file. Default: yes. */
  readonly index?: boolean;
  readonly redirectDir?: RedirectDir;
  /** Whether the fs-verity digests in metacopies count. Default: `off`. */
  readonly verity?: Verity;
  /** Marks are written as `user.overlay.` attributes; otherwise only where `trusted.` ones are refused. */
  readonly userxattr: boolean;
  /** What hides a lower name: a device 0:0 (`overlay`), a `.wh.` file (`aufs`), an attribute (`xattr`), or what the upper takes. */
  readonly whiteout: "auto" | WhiteoutFormat;
  readonly xino: "off" | "auto" | "on";
  /** Whose objects are shown to be, where that is not what the layers say. */
  readonly ownership?: OwnershipOptions;
  /** How long the kernel may trust names and attributes, in seconds. Infinite is right as long as nobody changes the layers. */
  readonly timeout: number;
  /** Each request and reply becomes a line at level "debug". */
  readonly debug: boolean;
  /** The most microseconds the request loop waits for the next request without sleeping; 0 never waits. */
  readonly spinMicroseconds: number;
  /** Whether idle CPUs poll while requests keep coming: see `session/idle-poll.ts`. Default: `auto`. */
  readonly idlePoll?: IdlePollOption;
  /**
   * Who reads and writes open files: the driver, asked by the kernel, which caches (`cached`); or the kernel by itself, in the
   * layers' files (`passthrough`).
   */
  readonly io: IoPolicy;
  /** With `auto`: from how many bytes on lower files are passed through for reading. Default: `off`, and `readOnlyLowerPassthrough` where the driver writes nothing. */
  readonly lowerPassthrough?: number | "off";
  /** `fuse-native` needs the npm package of that name. */
  readonly transport: "kernel" | "fuse-native";
  /** What is mounted over it belongs to it, and goes with it. The driver only keeps that on record, for whoever unmounts. */
  readonly covered?: boolean;
  /** The same of volumes that plugins have mounted for what is over it. */
  readonly volumeUses?: VolumeUses;
}

/**
 * Redirects of directories: they are written and followed (`on`, the default), only followed, or neither. Unless they are
 * written, renaming a directory that has lower parts is EXDEV.
 */
export type RedirectDir = "on" | "follow" | "nofollow";

export const ioPolicies = ["auto", "cached", "passthrough"] as const;
/** `auto`: files of the upper are passed through where that can be had, and lower ones as `lowerPassthrough` says; others are cached. */
export type IoPolicy = (typeof ioPolicies)[number];

/**
 * Bytes. Most of what is read again and again is smaller, and cached without a message for opening it. Of bigger files (libraries, data) one copy in
 * memory serves all mounts, and the kernel reads them as fast as without cowfs. Where a lower file can be written, its readers would keep to it, unlike on any
 * other file system: that is for whoever asks for it.
 */
export const readOnlyLowerPassthrough = 16 << 20;

/** A thousand years would overflow jiffies; the kernel clamps this itself. About 30 years: for ever, for a mount. */
export const timeoutForever = 1e9;

/** `auto`: on virtual machines of few CPUs that halt idle ones at once. */
export const idlePollOptions = ["auto", "on", "off"] as const;
export type IdlePollOption = (typeof idlePollOptions)[number];

/** The cap of the adaptive wait for the next request. */
export const defaultSpinMicroseconds = 100;
/** The most that can be asked for: a second would keep a processor busy for nothing. */
export const spinMost = 1_000_000;
