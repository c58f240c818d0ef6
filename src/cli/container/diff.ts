import { driverOf } from "../../assemble/drivers/choose.js";
import { findContainer } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { shown } from "../../text.js";
import { print } from "../exit.js";

/** `cowfs diff`: what a container has added (A), changed (C) and deleted (D). Returns the exit code. */
export async function diffCommand(root: DataRoot, name: string, options: { json?: boolean }): Promise<number> {
  const record = findContainer(root, name);
  const changes = await driverOf(record).diff(root, record);
  if (options.json === true) {
    const objects = changes.map(({ kind, path }) => ({ kind, path: shown(path) }));
    print(`${JSON.stringify(objects, null, 2)}\n`);
    return 0;
  }
  print(Buffer.from(changes.map(({ kind, path }) => `${kind} ${path}\n`).join(""), "latin1"));
  return 0;
}
