import type { MountSpec } from "../../store/records.js";
import { SpecError } from "./spec-error.js";
import { targetPath } from "./target.js";

/** What a user may say of a tmpfs: flags of mount(8), and data of the file system. */
const flags = /^(?:ro|rw|(?:no)?(?:exec|suid|dev|atime|diratime|relatime)|strictatime|sync|async|dirsync)$/;
const values: Readonly<Record<string, RegExp>> = {
  size: /^\d+[kmgtpe%]?$/i,
  nr_blocks: /^\d+[kmg]?$/i,
  nr_inodes: /^\d+[kmg]?$/i,
  mode: /^[0-7]{1,5}$/,
  uid: /^\d+$/,
  gid: /^\d+$/,
  huge: /^(?:never|always|within_size|advise)$/,
  mpol: /^[a-z]+(?::[0-9-]+)?$/,
};

/** Checks the options of a tmpfs. Throws SpecError that names the wrong one. */
function checkTmpfsOptions(options: readonly string[]): void {
  for (const option of options) {
    const [key = "", value] = option.split(/=(.*)/s, 2);
    const isKnown = value === undefined ? flags.test(key) : Object.hasOwn(values, key) && values[key]?.test(value);
    if (isKnown !== true) throw new SpecError(`invalid tmpfs option '${option}'`);
  }
}

/** `--tmpfs TARGET[:OPTION,…]`. Throws SpecError. */
export function parseTmpfsFlag(spec: string): MountSpec {
  const colon = spec.indexOf(":");
  const target = targetPath(colon < 0 ? spec : spec.slice(0, colon));
  const options =
    colon < 0
      ? []
      : spec
          .slice(colon + 1)
          .split(",")
          .filter((word) => word !== "");
  checkTmpfsOptions(options);
  const readOnly = options.findLast((word) => word === "ro" || word === "rw") === "ro";
  return { type: "tmpfs", target, readOnly, origin: "tmpfs", tmpfsOptions: options };
}
