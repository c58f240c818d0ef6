import { checkName } from "../../store/names.js";
import type { MountSpec, Propagation } from "../../store/records.js";
import { SpecError } from "./spec-error.js";
import { hostPath, type Surroundings, targetPath } from "./target.js";

/** The words after the second colon; one of each group at most. */
const modeGroups: Readonly<Record<string, RegExp>> = {
  access: /^(?:rw|ro)$/,
  label: /^[zZ]$/,
  propagation: /^r?(?:private|shared|slave)$/,
  copy: /^nocopy$/,
  consistency: /^(?:consistent|cached|delegated)$/,
};

type Modes = Readonly<Record<string, string>>;

/** `ro,rslave` as group → word; undefined where a word is unknown or a group comes twice. */
function modesOf(text: string): Modes | undefined {
  const found: Record<string, string> = {};
  for (const word of text.split(",")) {
    const group = Object.keys(modeGroups).find((name) => modeGroups[name]?.test(word) === true);
    if (group === undefined || found[group] !== undefined) return undefined;
    found[group] = word;
  }
  return found;
}

/** The fields between colons: one to three, none empty. */
function fieldsOf(spec: string): readonly string[] {
  if (spec === "") throw new SpecError("invalid empty volume spec");
  const fields = spec.split(":");
  if (fields.includes("")) throw new SpecError(`invalid spec: ${spec}: empty section between colons`);
  if (fields.length > 3) throw new SpecError(`invalid spec: ${spec}: too many colons`);
  return fields;
}

/**
 * `-v [SOURCE:]TARGET[:MODES]`. A source that begins with `.`, `/` or `~` is a path of the host, which is made if it is missing; any other
 * is the name of a volume; without one the volume is anonymous. Throws SpecError.
 */
export function parseVolumeFlag(spec: string, surroundings: Surroundings): MountSpec {
  const fields = fieldsOf(spec);
  const [first = "", second, third] = fields;
  const invalid = `invalid volume specification: '${spec}'`;
  // A mode wants a source: `/data:ro` would be a volume named `/data` on a target `ro`.
  if (fields.length === 2 && modesOf(second ?? "") !== undefined) throw new SpecError(invalid);
  const modes = third === undefined ? {} : modesOf(third);
  if (modes === undefined) throw new SpecError(`${invalid}: invalid mode: ${third}`);
  try {
    const target = targetPath(second ?? first);
    const source = second === undefined ? undefined : first;
    const common = { target, readOnly: modes["access"] === "ro", origin: "volume" as const };
    if (source !== undefined && /^[./~]/.test(source)) {
      if (modes["copy"] !== undefined) throw new SpecError(`invalid mode: ${third}`);
      const propagation = modes["propagation"] as Propagation | undefined;
      return {
        ...common,
        type: "bind",
        source: hostPath(source, surroundings),
        createSource: true,
        ...(propagation === undefined ? {} : { propagation }),
      };
    }
    if (modes["propagation"] !== undefined) throw new SpecError(`invalid mode: ${third}`);
    if (source !== undefined) checkName(source, "volume");
    return {
      ...common,
      type: "volume",
      ...(source === undefined ? {} : { source }),
      ...(modes["copy"] === undefined ? {} : { noCopy: true }),
    };
  } catch (cause) {
    throw new SpecError(`${invalid}: ${(cause as Error).message}`, { cause });
  }
}
