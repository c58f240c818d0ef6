import { recoverContainer, removeWithVolumes } from "../../assemble/container.js";
import { stopContainer } from "../../assemble/stop.js";
import { containerLock, findContainer, renameContainer } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { NotFoundError, StoreError } from "../../store/error.js";
import { withLock } from "../../store/lock.js";
import type { ContainerRecord } from "../../store/records.js";
import { forEachWord } from "../each.js";
import { print } from "../exit.js";
import { daemonMounter } from "./mounter.js";

export interface RemoveWords {
  readonly force?: boolean;
  readonly volumes?: boolean;
}

/** `cowfs rm`. Returns the exit code. */
export function removeCommand(root: DataRoot, names: readonly string[], words: RemoveWords): Promise<number> {
  return forEachWord(names, async (name) => {
    let record: ContainerRecord;
    try {
      record = findContainer(root, name);
    } catch (error) {
      if (words.force === true && error instanceof NotFoundError) return;
      throw error;
    }
    // One that was run with --rm goes by itself when it ends.
    if (words.force === true) await stopContainer(root, record, daemonMounter, 0);
    try {
      await withLock(root, containerLock(record.id), async () => {
        const state = await recoverContainer(root, record.id, daemonMounter);
        if (state.status === "running") {
          throw new StoreError(`container ${record.name} is running: stop it first, or remove it with --force`);
        }
        await removeWithVolumes(root, record.id, { volumes: words.volumes === true });
      });
    } catch (error) {
      if (!(words.force === true && error instanceof NotFoundError)) throw error;
    }
    print(`${name}\n`);
  });
}

/** `cowfs rename`. Returns the exit code. */
export async function renameCommand(root: DataRoot, name: string, newName: string): Promise<number> {
  const { id } = findContainer(root, name);
  await withLock(root, containerLock(id), () => renameContainer(root, id, newName));
  return 0;
}
