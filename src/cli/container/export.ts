import { isatty } from "node:tty";
import { withMerged, withoutMounts } from "../../assemble/merged.js";
import { writeLayerTar } from "../../store/archive/layer-tar.js";
import { findContainer } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { UsageError } from "../exit.js";
import { writeArchiveFile } from "../output/archive-file.js";
import { daemonMounter } from "./mounter.js";

/** `cowfs export`: the merged tree, without volumes and binds, as a tar archive. Returns the exit code. */
export async function exportCommand(root: DataRoot, name: string, options: { output?: string }): Promise<number> {
  const record = findContainer(root, name);
  const { output } = options;
  if (output === undefined && isatty(1)) {
    throw new UsageError("an archive is not for a terminal: use -o FILE, or send it to another program");
  }
  await withMerged(root, record, daemonMounter, false, (merged) =>
    withoutMounts(merged, (tree) => writeArchiveFile(output, (to) => writeLayerTar(tree, to, { marks: "none" }))),
  );
  return 0;
}
