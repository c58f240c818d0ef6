import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import type { ContainerRecord } from "../../store/records.js";
import { btrfsDriver } from "./btrfs.js";
import { cowfsDriver } from "./cowfs.js";
import type { StorageDriver } from "./driver.js";
import { overlay2Driver } from "./overlay2.js";
import { vfsDriver } from "./vfs.js";

/** In the order in which they are tried when nobody says which one. */
export const drivers: readonly StorageDriver[] = [cowfsDriver, overlay2Driver, btrfsDriver, vfsDriver];

/** Throws StoreError, naming the choices. */
export function driverNamed(name: string): StorageDriver {
  const driver = drivers.find((one) => one.name === name);
  if (driver === undefined) {
    throw new StoreError(
      `the storage driver ${name} is unknown: choose one of ${drivers.map((one) => one.name).join(", ")}`,
    );
  }
  return driver;
}

/** The name of a container's driver. Those that were made before there was a choice say nothing. */
export function driverNameOf({ driver = "cowfs" }: Pick<ContainerRecord, "driver">): string {
  return driver;
}

/** The driver of a container. Throws StoreError if it is of another version of this program. */
export function driverOf(container: Pick<ContainerRecord, "driver">): StorageDriver {
  return driverNamed(driverNameOf(container));
}

/** What a container wants of a driver that this cannot do is an error. */
export function mustKeep(
  { name, limitsSize }: StorageDriver,
  { storageOptions }: Pick<ContainerRecord, "storageOptions">,
): void {
  if (storageOptions?.size === undefined || limitsSize) return;
  const able = drivers.filter((driver) => driver.limitsSize).map((driver) => driver.name);
  throw new StoreError(`the storage driver ${name} has no --storage-opt size: use ${able.join(" or ")}`);
}

/** What a driver lacks on a data root is an error. */
export async function mustWork(root: DataRoot, driver: StorageDriver): Promise<void> {
  const missing = await driver.lacking(root);
  if (missing !== undefined) throw new StoreError(`the storage driver ${driver.name} cannot be used: ${missing}`);
}

/** A driver, and why it is this one. */
export interface Choice {
  readonly driver: StorageDriver;
  readonly reason: string;
}

/**
 * The driver of new containers: the one that is asked for, that of the environment, or the first one that the host can run. Throws StoreError if the
 * host lacks what it needs.
 */
export async function chooseDriver(
  root: DataRoot,
  asked: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Choice> {
  const fromEnvironment = environment["COWFS_DRIVER"] || undefined;
  const name = asked ?? fromEnvironment;
  if (name !== undefined) {
    const driver = driverNamed(name);
    await mustWork(root, driver);
    return { driver, reason: asked === undefined ? "COWFS_DRIVER" : "asked for" };
  }
  const missing: string[] = [];
  for (const driver of drivers) {
    const lacking = await driver.lacking(root);
    if (lacking === undefined) {
      return { driver, reason: missing.length === 0 ? "the default" : `the first that works: ${missing.join("; ")}` };
    }
    missing.push(`${driver.name}: ${lacking}`);
  }
  throw new StoreError(`no storage driver can be used here: ${missing.join("; ")}`);
}
