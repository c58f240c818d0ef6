import { writeLayerTar } from "../../store/archive/layer-tar.js";
import type { DataRoot } from "../../store/data-root.js";
import { readVolumeAnywhere } from "../../store/volume-drivers/lookup.js";
import { withVolumeData } from "../../store/volumes.js";
import { CommandError } from "../exit.js";
import { writeArchiveFile } from "../output/archive-file.js";

/** `cowfs volume export`. Returns the exit code. */
export async function exportCommand(root: DataRoot, name: string, { output }: { output?: string }): Promise<number> {
  const volume = await readVolumeAnywhere(root, name);
  if (output === undefined && process.stdout.isTTY) {
    throw new CommandError("an archive is nothing for a terminal: name a file with -o, or redirect the output");
  }
  await withVolumeData(root, volume, (data) =>
    writeArchiveFile(output, (to) => writeLayerTar(data, to, { marks: "none" })),
  );
  return 0;
}
