/** What can be told of an instruction before anything is built: its flags, and how many arguments it has. */
import { jsonStrings } from "../store/image-changes.js";
import { BuildError } from "./build-error.js";
import { heredocName, type Statement } from "./dockerfile.js";

/** Flags that are understood, and those that Docker knows besides, which are refused by name. */
const flags: Readonly<Record<string, { readonly known: readonly string[]; readonly refused: readonly string[] }>> = {
  ADD: { known: ["chown", "chmod", "link"], refused: ["checksum", "keep-git-dir", "exclude", "unpack"] },
  COPY: { known: ["chown", "chmod", "from", "link"], refused: ["parents", "exclude"] },
  HEALTHCHECK: { known: ["interval", "timeout", "start-period", "start-interval", "retries"], refused: [] },
  RUN: { known: ["network"], refused: ["mount", "security", "device"] },
};

/** Throws BuildError that says what is expected. */
export function checkStep(step: Statement): void {
  const { known, refused } = flags[step.keyword] ?? { known: [], refused: [] };
  for (const [name, value] of step.flags) {
    const takes = known.length === 0 ? "none" : known.map((flag) => `--${flag}`).join(", ");
    if (refused.includes(name)) {
      throw new BuildError(step, `cowfs does not know ${step.keyword} --${name}; it knows ${takes}`);
    }
    if (!known.includes(name))
      throw new BuildError(step, `--${name} is no flag of ${step.keyword}; there are ${takes}`);
    if (name !== "link" && (value === undefined || value === ""))
      throw new BuildError(step, `--${name} takes a value: --${name}=…`);
    if (name === "network" && !["default", "host", "none"].includes(value ?? ""))
      throw new BuildError(step, "--network takes default, host or none");
  }
  if (step.keyword === "COPY" || step.keyword === "ADD") checkPaths(step);
  if (step.keyword === "ONBUILD" && /^(ONBUILD|FROM|MAINTAINER)\b/i.test(step.rest))
    throw new BuildError(step, "ONBUILD takes an instruction other than ONBUILD, FROM and MAINTAINER");
}

function checkPaths(step: Statement): void {
  const paths = pathsOf(step);
  if (paths.length < 2) throw new BuildError(step, `${step.keyword} takes at least two paths: SOURCE… DESTINATION`);
  const inline = new Set(step.heredocs.map(({ name }) => name));
  for (const path of paths.slice(0, -1)) {
    if (step.keyword === "ADD" && /^(?:(?:https?|ftp|git|ssh):\/\/|git@)/.test(path)) {
      throw new BuildError(step, `${path}: nothing is fetched from the network: download it into the context`);
    }
    const heredoc = heredocName(path);
    if (heredoc !== undefined && !inline.has(heredoc))
      throw new BuildError(step, `${path}: that here-document is missing`);
  }
}

/** The sources and the destination of COPY and ADD, as they are written: words, or a list in JSON. */
export function pathsOf({ rest }: Statement): string[] {
  return jsonStrings(rest) ?? rest.split(/\s+/);
}
