import { existsSync } from "node:fs";
import { type DataRoot, reason } from "../store/data-root.js";
import { StoreError } from "../store/error.js";
import { findImage } from "../store/images.js";
import { makeDirectories } from "../store/make-directories.js";
import type { MountSpec, Propagation, VolumeRecord } from "../store/records.js";
import type { VolumeUser } from "../store/volume-drivers/uses.js";
import { createAnonymousVolume, ensureVolume, openVolume } from "../store/volumes.js";

/** One mount over a root, ready to be made: plain data. Paths are text (UTF-8). */
export interface PlannedMount {
  /** `bind` for binds and volumes. */
  readonly kind: "bind" | "tmpfs" | "image";
  /** A path of the host, or the name of an image; empty for a tmpfs. */
  readonly source: string;
  /** What messages call the source, if not by its path. */
  readonly called?: string;
  /** A path within the source, which is not left. */
  readonly subpath?: string;
  /** The path in the container; symbolic links in it are resolved inside the root. */
  readonly target: string;
  readonly readOnly: boolean;
  /** Mounts below the source come along. */
  readonly recursive: boolean;
  /** Whether those become read-only, too: where the kernel can (`try`), or else it is an error (`must`). */
  readonly readOnlyRecursive: "no" | "try" | "must";
  readonly propagation: Propagation;
  /** Flags of a tmpfs, as mount(8) calls them (`noexec`, `nosuid`, `nodev`), and its data (`size=64m`). */
  readonly flags: readonly string[];
  readonly data: readonly string[];
  /** The volume to fill with what the root has at the target, if it is empty. */
  readonly populate?: string | undefined;
}

/** What a tmpfs is without a word from the user. */
const tmpfsFlags = ["noexec", "nosuid", "nodev"];

/**
 * Makes the volumes that specs name, and anonymous ones, and adds those that are new to `made`, also when it throws; returns the specs with the name of a
 * volume or the id of an image in each. Throws StoreError, also for an image that is not there, and a bind whose source must exist and does
 * not: then nothing is made.
 */
export async function ensureVolumes(
  root: DataRoot,
  specs: readonly MountSpec[],
  made: VolumeRecord[] = [],
): Promise<MountSpec[]> {
  const found = specs.map((spec) => {
    if (spec.type === "bind" && spec.createSource !== true) checkSource(spec.source ?? "");
    return spec.type === "image" ? { ...spec, source: findImage(root, spec.source ?? "").id } : spec;
  });
  const named: MountSpec[] = [];
  for (const spec of found) {
    if (spec.type !== "volume") {
      named.push(spec);
      continue;
    }
    const { driver, labels, driverOptions: options, source } = spec;
    const wish = { driver, labels, options };
    const volume = await (source === undefined
      ? createAnonymousVolume(root, wish, made)
      : ensureVolume(root, source, wish, made));
    named.push({ ...spec, source: volume.name });
  }
  return named;
}

/**
 * What is to be mounted, in the order of the specs, whose volumes have names (`ensureVolumes`). Sources of binds are made if they may be;
 * volumes with options are mounted, and those of plugins, for this user: `releaseAll` must be called in any case. Throws StoreError: a missing
 * source, a propagation that cannot be had.
 */
export async function planMounts(
  root: DataRoot,
  specs: readonly MountSpec[],
  user: VolumeUser,
): Promise<PlannedMount[]> {
  const planned: PlannedMount[] = [];
  for (const spec of specs) {
    if (spec.type === "tmpfs") planned.push(planTmpfs(spec));
    else if (spec.type === "volume") planned.push(await planVolume(root, spec, user));
    else if (spec.type === "bind") planned.push(planBind(spec));
    else planned.push(planImage(spec));
  }
  return planned;
}

function common(spec: MountSpec): Omit<PlannedMount, "kind" | "source"> {
  const { target, readOnly, recursive, propagation = "rprivate", subpath } = spec;
  return {
    target,
    readOnly,
    recursive: recursive !== "disabled",
    readOnlyRecursive: !readOnly || recursive === "writable" ? "no" : recursive === "readonly" ? "must" : "try",
    propagation,
    flags: [],
    data: [],
    ...(subpath === undefined ? {} : { subpath }),
  };
}

function planTmpfs(spec: MountSpec): PlannedMount {
  const options = spec.tmpfsOptions ?? [];
  return {
    ...common(spec),
    kind: "tmpfs",
    source: "",
    propagation: "rprivate",
    flags: [...tmpfsFlags, ...options.filter((option) => !option.includes("=") && !/^r[ow]$/.test(option))],
    data: options.filter((option) => option.includes("=")),
  };
}

async function planVolume(root: DataRoot, spec: MountSpec, user: VolumeUser): Promise<PlannedMount> {
  const { source = "", driver, labels, driverOptions: options } = spec;
  const volume = await ensureVolume(root, source, { driver, labels, options });
  return {
    ...common(spec),
    kind: "bind",
    source: await openVolume(root, volume, user),
    ...(isFilled(spec) ? { populate: volume.name } : {}),
  };
}

/** Whether a mount is a volume that gets what the image has at its target, if it is empty. */
export function isFilled({ type, noCopy, subpath, origin }: MountSpec): boolean {
  return type === "volume" && noCopy !== true && subpath === undefined && origin !== "volumes-from";
}

function planImage(spec: MountSpec): PlannedMount {
  return { ...common(spec), kind: "image", source: spec.source ?? "", readOnly: true };
}

function checkSource(source: string): void {
  if (existsSync(source)) return;
  throw new StoreError(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
}

function planBind(spec: MountSpec): PlannedMount {
  const source = spec.source ?? "";
  if (spec.createSource !== true) checkSource(source);
  else if (!existsSync(source)) {
    try {
      makeDirectories(source, 0o755);
    } catch (cause) {
      throw new StoreError(`error while creating mount source path '${source}': ${reason(cause)}`, { cause });
    }
  }
  return { ...common(spec), kind: "bind", source };
}
