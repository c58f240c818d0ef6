import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError } from "../../store/error.js";
import { pruneVolumes } from "../../store/prune-volumes.js";
import { complain, EXIT_FAILURE, print, UsageError } from "../exit.js";
import { confirm } from "../output/confirm.js";
import { hasLabels } from "../output/filters.js";
import { size } from "../output/size.js";

/** `cowfs volume prune`. Returns the exit code. */
export async function pruneCommand(
  root: DataRoot,
  options: { all?: boolean; force?: boolean; filter?: string[] },
): Promise<number> {
  const all = options.all === true || (options.filter ?? []).some((word) => /^all=(?:1|true)$/.test(word));
  const wanted: string[] = [];
  const unwanted: string[] = [];
  for (const word of options.filter ?? []) {
    const match = /^(?:label(!?)=(.+)|all=(?:0|1|true|false))$/s.exec(word);
    if (match === null) {
      throw new UsageError(
        `unknown filter ${JSON.stringify(word)}: known are label=KEY[=VALUE], label!=KEY[=VALUE], all=true`,
      );
    }
    if (match[2] !== undefined) (match[1] === "!" ? unwanted : wanted).push(match[2]);
  }
  const what = all ? "all local volumes" : "anonymous local volumes";
  const warning = `WARNING! This will remove ${what} not used by at least one container.`;
  if (options.force !== true && !(await confirm(warning))) return 0;
  const { removed, bytes, failures } = await pruneVolumes(root, all, ({ labels }) => {
    return hasLabels(labels, wanted) && unwanted.every((word) => !hasLabels(labels, [word]));
  });
  if (removed.length > 0) print(`Deleted Volumes:\n${removed.join("\n")}\n\n`);
  print(`Total reclaimed space: ${size(bytes)}\n`);
  const errors = failures.filter((error) => !(error instanceof NotFoundError));
  for (const error of errors) complain(error.message);
  return errors.length === 0 ? 0 : EXIT_FAILURE;
}
