import type { MountSpec } from "../../store/records.js";
import { SpecError } from "./spec-error.js";

export interface VolumesFrom {
  /** Name or id of a container. */
  readonly container: string;
  readonly readOnly: boolean;
}

/** `--volumes-from CONTAINER[:ro|rw]`. Throws SpecError. */
export function parseVolumesFrom(spec: string): VolumesFrom {
  if (spec === "") throw new SpecError("volumes-from specification cannot be an empty string");
  const colon = spec.indexOf(":");
  const container = colon < 0 ? spec : spec.slice(0, colon);
  const mode = colon < 0 ? "rw" : spec.slice(colon + 1);
  if (container === "") throw new SpecError(`malformed volumes-from specification: ${spec}`);
  if (mode !== "ro" && mode !== "rw") throw new SpecError(`invalid mode: ${mode}`);
  return { container, readOnly: mode === "ro" };
}

/** The volumes and binds of another container. They can be written only where both allow it, and nothing is copied into them. */
export function inheritedSpecs(mounts: readonly MountSpec[], readOnly: boolean): MountSpec[] {
  return mounts
    .filter(({ type }) => type === "bind" || type === "volume")
    .map((spec) => ({
      ...spec,
      readOnly: spec.readOnly || readOnly,
      origin: "volumes-from" as const,
      ...(spec.type === "volume" ? { noCopy: true } : {}),
    }));
}
