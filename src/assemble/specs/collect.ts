import type { MountSpec } from "../../store/records.js";
import { parseMountFlag } from "./mount-flag.js";
import { SpecError } from "./spec-error.js";
import { type Surroundings, targetPath } from "./target.js";
import { parseTmpfsFlag } from "./tmpfs-flag.js";
import { parseVolumeFlag } from "./volume-flag.js";
import { inheritedSpecs, parseVolumesFrom } from "./volumes-from.js";

/** The words of a command line, as they were given. */
export interface MountFlags {
  readonly volumesFrom?: readonly string[];
  readonly volumes?: readonly string[];
  readonly mounts?: readonly string[];
  readonly tmpfs?: readonly string[];
}

export interface SpecContext extends Surroundings {
  /** The targets of the image's VOLUMEs. */
  readonly imageVolumes?: readonly string[];
  /** The driver of volumes that `-v` and the image name. */
  readonly volumeDriver?: string | undefined;
  /** The mounts of a container, by name or id, for `--volumes-from`. Throws StoreError if there is none. */
  mountsOf(container: string): readonly MountSpec[];
}

/** How many components a target has: what lies deeper is mounted later. */
function depthOf(target: string): number {
  return target.split("/").length;
}

/**
 * All mounts of a container, in the order in which they are mounted. Who wins where two have one target: what this command line says beats
 * `--volumes-from`, which beats the VOLUMEs of the image; two on one command line are an error. Throws SpecError, and what `mountsOf` throws.
 */
export function collectSpecs(flags: MountFlags, context: SpecContext): MountSpec[] {
  const byTarget = new Map<string, MountSpec>();
  for (const word of flags.volumesFrom ?? []) {
    const { container, readOnly } = parseVolumesFrom(word);
    for (const spec of inheritedSpecs(context.mountsOf(container), readOnly)) byTarget.set(spec.target, spec);
  }
  const asked = [
    ...(flags.volumes ?? []).map((word) => withDriver(parseVolumeFlag(word, context), context.volumeDriver)),
    ...(flags.mounts ?? []).map((word) => parseMountFlag(word, context)),
    ...(flags.tmpfs ?? []).map((word) => parseTmpfsFlag(word)),
  ];
  const own = new Set<string>();
  for (const spec of asked) {
    if (own.has(spec.target)) throw new SpecError(`Duplicate mount point: ${spec.target}`);
    own.add(spec.target);
    byTarget.set(spec.target, spec);
  }
  for (const path of context.imageVolumes ?? []) {
    const target = targetPath(path);
    if (byTarget.has(target)) continue;
    const spec = { type: "volume", target, readOnly: false, origin: "image" } as const;
    byTarget.set(target, withDriver(spec, context.volumeDriver));
  }
  return [...byTarget.values()].sort((a, b) => depthOf(a.target) - depthOf(b.target));
}

function withDriver(spec: MountSpec, driver: string | undefined): MountSpec {
  return driver === undefined || spec.type !== "volume" ? spec : { ...spec, driver };
}
