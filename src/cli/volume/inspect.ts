import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError } from "../../store/error.js";
import { readVolume } from "../../store/volumes.js";
import { complain, EXIT_FAILURE } from "../exit.js";
import { printObjects } from "../output/list.js";
import { describe } from "./describe.js";

/** `cowfs volume inspect`: those that exist are shown in any case. Returns the exit code. */
export function inspectCommand(
  root: DataRoot,
  names: readonly string[],
  options: { format?: string; json?: boolean },
): number {
  const missing: string[] = [];
  const found = names.flatMap((name) => {
    try {
      return [describe(root, readVolume(root, name))];
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      missing.push(error.message);
      return [];
    }
  });
  printObjects(found, options);
  for (const message of missing) complain(message);
  return missing.length === 0 ? 0 : EXIT_FAILURE;
}
