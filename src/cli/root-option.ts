import type { Command } from "commander";
import { type DataRoot, openDataRoot } from "../store/data-root.js";

/** The data root that the command line names with `--root`, or the default one. Throws StoreError. */
export function rootOf(command: Command): DataRoot {
  const { root } = command.optsWithGlobals<{ root?: string }>();
  return openDataRoot(root);
}
