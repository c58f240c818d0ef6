import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError } from "../../store/error.js";
import { removeVolume } from "../../store/volumes.js";
import { print } from "../exit.js";
import { forEachName } from "./each.js";

/** `cowfs volume rm`. Returns the exit code. */
export function removeCommand(root: DataRoot, names: readonly string[], options: { force?: boolean }): Promise<number> {
  return forEachName(names, async (name) => {
    try {
      await removeVolume(root, name, options);
    } catch (error) {
      if (!(options.force === true && error instanceof NotFoundError)) throw error;
    }
    print(`${name}\n`);
  });
}
