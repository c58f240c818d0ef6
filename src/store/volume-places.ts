import { join } from "node:path";
import type { DataRoot } from "./data-root.js";

export function volumeDirectory(root: DataRoot, name: string): string {
  return join(root.volumes, name);
}

/** Where the content of a volume is: its Mountpoint. */
export function volumeData(root: DataRoot, name: string): string {
  return join(volumeDirectory(root, name), "_data");
}
