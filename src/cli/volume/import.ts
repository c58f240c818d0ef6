import { createReadStream, openSync } from "node:fs";
import type { Readable } from "node:stream";
import type { DataRoot } from "../../store/data-root.js";
import { importVolume } from "../../store/import-volume.js";
import { CommandError, systemReason } from "../exit.js";

/** `cowfs volume import`. Returns the exit code. */
export async function importCommand(root: DataRoot, name: string, file: string | undefined): Promise<number> {
  await importVolume(root, name, file === undefined || file === "-" ? process.stdin : opened(file));
  return 0;
}

function opened(file: string): Readable {
  try {
    return createReadStream(file, { fd: openSync(file, "r") });
  } catch (cause) {
    throw new CommandError(`cannot read ${file}: ${systemReason(cause)}`, { cause });
  }
}
