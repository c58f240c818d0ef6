import { DataRoot } from "../../store/data-root.js";
import { releaseAll } from "../../store/volume-drivers/uses.js";
import { warn } from "../../store/warn.js";

/** The main function of the helper of `cowfs umount`: tells plugins that a mount no longer has their volumes. */
export async function endUsesMain([root = "", id = ""]: readonly string[]): Promise<void> {
  for (const problem of await releaseAll(new DataRoot(root), id)) warn(problem.message);
}
