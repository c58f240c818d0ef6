import { createWriteStream, rmSync } from "node:fs";
import { writeLayerTar } from "../../store/archive/layer-tar.js";
import type { DataRoot } from "../../store/data-root.js";
import { mountVolume } from "../../store/volume-mounts.js";
import { volumeData } from "../../store/volume-places.js";
import { readVolume } from "../../store/volumes.js";
import { CommandError, systemReason } from "../exit.js";

/** `cowfs volume export`. Returns the exit code. */
export async function exportCommand(root: DataRoot, name: string, { output }: { output?: string }): Promise<number> {
  const volume = readVolume(root, name);
  if (output === undefined && process.stdout.isTTY) {
    throw new CommandError("an archive is nothing for a terminal: name a file with -o, or redirect the output");
  }
  await mountVolume(root, volume);
  const data = volumeData(root, name);
  if (output === undefined || output === "-") {
    await written("the output", () => writeLayerTar(data, process.stdout, { marks: "none" }));
    return 0;
  }
  try {
    await written(output, () => writeLayerTar(data, createWriteStream(output), { marks: "none" }));
  } catch (error) {
    // Half an archive would be taken for a whole one.
    rmSync(output, { force: true });
    throw error;
  }
  return 0;
}

async function written(where: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw new CommandError(`cannot write ${where}: ${systemReason(cause)}`, { cause });
  }
}
