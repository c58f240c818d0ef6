import type { DataRoot } from "../../store/data-root.js";
import { describedByPlugin, readVolumeAnywhere } from "../../store/volume-drivers/lookup.js";
import { localDriver } from "../../store/volume-records.js";
import { printObjects } from "../output/list.js";
import { describe, seenHere } from "./describe.js";
import { forEachName } from "./each.js";

/** `cowfs volume inspect`: what is wrong is said, and the others are shown in any case. Returns the exit code. */
export async function inspectCommand(
  root: DataRoot,
  names: readonly string[],
  options: { format?: string; json?: boolean },
): Promise<number> {
  const found: Record<string, unknown>[] = [];
  const code = await forEachName(names, async (name) => {
    const record = await readVolumeAnywhere(root, name);
    found.push(describe(record.driver === localDriver ? seenHere(root, record) : await describedByPlugin(record)));
  });
  printObjects(found, options);
  return code;
}
