import { containerLock, readContainer, writeDriver } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { withLock } from "../../store/lock.js";
import type { ContainerRecord } from "../../store/records.js";
import { recoverContainer } from "../container.js";
import type { UnionMounter } from "../union.js";
import { driverNamed, driverOf, mustKeep, mustWork } from "./choose.js";

/**
 * From its next start on, a container is shown by another driver, which goes on with the same directories. Throws StoreError, and changes nothing, if
 * the formats differ, the host cannot run the driver, or the container runs.
 */
export async function switchDriver(
  root: DataRoot,
  record: ContainerRecord,
  name: string,
  mounter: UnionMounter,
): Promise<void> {
  const old = driverOf(record);
  const driver = driverNamed(name);
  if (driver.format !== old.format) {
    throw new StoreError(
      `container ${record.name} is kept by ${old.name}, whose directories ${name} cannot use: commit it, and run the image with --driver ${name}`,
    );
  }
  mustKeep(driver, record);
  await mustWork(root, driver);
  await withLock(root, containerLock(record.id), async () => {
    const { status } = await recoverContainer(root, record.id, mounter);
    if (status === "running") throw new StoreError(`container ${record.name} is running: stop it first`);
    driver.takeOver?.(root, readContainer(root, record.id));
    writeDriver(root, record.id, driver.name);
  });
}
