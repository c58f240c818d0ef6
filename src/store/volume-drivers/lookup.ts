import type { DataRoot } from "../data-root.js";
import { NotFoundError, StoreError } from "../error.js";
import type { VolumeRecord } from "../records.js";
import { findVolume, localDriver, publishVolume } from "../volume-records.js";
import { warn } from "../warn.js";
import { PluginError } from "./call.js";
import { AddressError, pluginNames } from "./discovery.js";
import { type PluginVolume, VolumePlugin } from "./plugin.js";

/**
 * Does something with each plugin for volumes that can be found, all at once; what fails is said, and leaves that one out. A file that does not
 * say how its plugin is reached, whatever that would be for, is passed over in silence unless the plugin `matters`.
 */
async function askPlugins<T>(
  names: readonly string[],
  matters: (name: string) => boolean,
  ask: (plugin: VolumePlugin) => Promise<T | undefined>,
): Promise<T[]> {
  const answers = await Promise.all(
    names.map(async (name) => {
      const plugin = new VolumePlugin(name, "looks");
      try {
        return (await plugin.isVolumeDriver()) ? await ask(plugin) : undefined;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        if (!(error instanceof AddressError) || matters(name)) warn(error.message);
        return undefined;
      }
    }),
  );
  return answers.filter((answer) => answer !== undefined);
}

/** Whether a plugin has a volume: what it says of it. */
export async function findOnPlugin(plugin: VolumePlugin, name: string): Promise<PluginVolume | undefined> {
  try {
    return await plugin.get(name);
  } catch (error) {
    if (error instanceof PluginError && error.kind === "refused") return undefined;
    throw error;
  }
}

/**
 * The record of a volume; one is made for a volume that only a plugin knows. Undefined if nobody does. A plugin that does not answer is
 * passed over, and that is said. Throws StoreError.
 */
export async function findVolumeAnywhere(root: DataRoot, name: string): Promise<VolumeRecord | undefined> {
  const existing = findVolume(root, name);
  if (existing !== undefined) return existing;
  // It may be any plugin's.
  const all = (): boolean => true;
  const [found] = await askPlugins(pluginNames(), all, async (plugin) => {
    return (await findOnPlugin(plugin, name)) === undefined ? undefined : plugin.name;
  });
  return found === undefined ? undefined : await publishVolume(root, recordOf(name, found));
}

/** As `findVolumeAnywhere`. Throws NotFoundError if there is no such volume. */
export async function readVolumeAnywhere(root: DataRoot, name: string): Promise<VolumeRecord> {
  const volume = await findVolumeAnywhere(root, name);
  if (volume === undefined) throw new NotFoundError(`get ${name}: no such volume`);
  return volume;
}

/** The record of a volume that this program has not made. */
function recordOf(name: string, driver: string): VolumeRecord {
  return { schema: 1, name, driver, created: new Date().toISOString(), labels: {}, options: {} };
}

/** A volume as people see it, wherever it is kept. */
export interface SeenVolume {
  readonly record: VolumeRecord;
  /** Empty while a plugin has not mounted it. */
  readonly mountpoint: string;
  readonly scope: "local" | "global";
  readonly status?: Readonly<Record<string, unknown>>;
}

/** What a plugin says of a volume on its record. */
export async function describedByPlugin(record: VolumeRecord): Promise<SeenVolume> {
  const plugin = new VolumePlugin(record.driver, "looks");
  const [{ mountpoint, created, status }, scope] = [await plugin.get(record.name), await plugin.scope()];
  return {
    record: { ...record, created: created ?? record.created },
    mountpoint: mountpoint === "" ? await plugin.path(record.name) : mountpoint,
    scope,
    ...(status === undefined ? {} : { status }),
  };
}

/**
 * The volumes of plugins: those on record, and what else the plugins list. Where two plugins have a name, or the name is on record with
 * another driver, the first one counts. A plugin that does not answer is passed over, and that is said; its volumes on record are there. Only
 * the drivers that are `asked` for, if any are.
 */
export async function volumesOfPlugins(
  records: readonly VolumeRecord[],
  asked: readonly string[] | undefined,
): Promise<SeenVolume[]> {
  const isAsked = (driver: string): boolean => asked === undefined || asked.includes(driver);
  const taken = new Map(records.map((record) => [record.name, record]));
  const drivers = records.map(({ driver }) => driver).filter((driver) => driver !== localDriver);
  const names = [...new Set([...pluginNames(), ...drivers])].filter(isAsked);
  const matters = (name: string): boolean => asked !== undefined || drivers.includes(name);
  const lists = await askPlugins(names, matters, async (plugin) => {
    const [{ volumes, wrong }, scope] = await Promise.all([plugin.list(), plugin.scope()]);
    for (const { message } of wrong) warn(message);
    return { driver: plugin.name, volumes, scope };
  });
  const seen = new Map<string, SeenVolume>();
  for (const { driver, volumes, scope } of lists) {
    for (const { name, mountpoint, created } of volumes) {
      const known = taken.get(name) ?? { ...recordOf(name, driver), created: created ?? "" };
      if (known.driver === driver && !seen.has(name)) seen.set(name, { record: known, mountpoint, scope });
    }
  }
  for (const record of records) {
    const isMissing = record.driver !== localDriver && isAsked(record.driver) && !seen.has(record.name);
    if (isMissing) seen.set(record.name, { record, mountpoint: "", scope: "local" });
  }
  return [...seen.values()];
}
