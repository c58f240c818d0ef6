import { StoreError } from "./error.js";

/** The options of the driver `local`, each with those it needs beside it. */
const needs: Readonly<Record<string, readonly string[]>> = {
  type: ["device"],
  device: ["type"],
  o: ["device", "type"],
  size: [],
};

/** Options that mount(2) takes as flags; all others are data for the file system. */
const flagBits: Readonly<Record<string, { readonly set?: number; readonly clear?: number }>> = {
  ro: { set: 0x1 },
  rw: { clear: 0x1 },
  nosuid: { set: 0x2 },
  suid: { clear: 0x2 },
  nodev: { set: 0x4 },
  dev: { clear: 0x4 },
  noexec: { set: 0x8 },
  exec: { clear: 0x8 },
  sync: { set: 0x10 },
  async: { clear: 0x10 },
  dirsync: { set: 0x80 },
  noatime: { set: 0x400 },
  nodiratime: { set: 0x800 },
  relatime: { set: 0x200000 },
  strictatime: { set: 0x1000000 },
  bind: { set: 0x1000 },
  rbind: { set: 0x5000 },
  defaults: {},
};
const MS_BIND = 0x1000;

/** What mount(2) is asked for a volume with options. */
export interface VolumeMount {
  readonly type: string;
  readonly device: string;
  readonly flags: number;
  readonly data: string;
  readonly isBind: boolean;
}

/** Throws StoreError if options of a volume cannot be had. */
export function checkVolumeOptions(name: string, options: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(options)) {
    const missing = needs[key]?.find((other) => !options[other]);
    if (needs[key] === undefined) {
      throw new StoreError(
        `create ${name}: invalid option: "${key}": the driver local knows ${Object.keys(needs).join(", ")}`,
      );
    }
    if (missing !== undefined) throw new StoreError(`create ${name}: missing required option: "${missing}"`);
  }
  const { type, size } = options;
  if (size === undefined) return;
  if (type !== "tmpfs") {
    throw new StoreError(
      `create ${name}: quota size requested but no quota support: a size can be kept with --opt type=tmpfs --opt device=tmpfs, or by a file system of its own`,
    );
  }
  if (!/^\d+[kmgtpe%]?$/i.test(size)) throw new StoreError(`create ${name}: invalid size: "${size}"`);
}

/** How a volume is mounted, or undefined for one that is a plain directory. */
export function volumeMount(options: Readonly<Record<string, string>>): VolumeMount | undefined {
  const { type, device, o = "", size } = options;
  if (type === undefined || device === undefined) return undefined;
  let flags = 0;
  const data: string[] = [];
  for (const word of o.split(",")) {
    const bits = Object.hasOwn(flagBits, word) ? flagBits[word] : undefined;
    if (bits === undefined) {
      if (word !== "") data.push(word);
    } else flags = (flags | (bits.set ?? 0)) & ~(bits.clear ?? 0);
  }
  if (size !== undefined) data.push(`size=${size}`);
  return { type, device, flags, data: data.join(","), isBind: (flags & MS_BIND) !== 0 };
}
