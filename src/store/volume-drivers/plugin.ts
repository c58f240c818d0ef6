import { realpathSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { reason } from "../data-root.js";
import { StoreError } from "../error.js";
import { checkInterruption, interruption } from "../interruption.js";
import { type CallLimits, callPlugin, field, PluginError, quoted } from "./call.js";
import { findPlugin, type PluginAddress, pluginDirectories } from "./discovery.js";

/** How long the calls may take, in seconds. COWFS_PLUGIN_TIMEOUT stands in the place of this and of what follows. */
const answerWithin: Readonly<Record<string, number>> = {
  "Plugin.Activate": 10,
  "VolumeDriver.Create": 120,
  "VolumeDriver.Remove": 120,
  "VolumeDriver.Mount": 120,
  "VolumeDriver.Unmount": 60,
  "VolumeDriver.Path": 10,
  "VolumeDriver.Get": 10,
  "VolumeDriver.List": 10,
  "VolumeDriver.Capabilities": 10,
};
/** How long a call may take, in seconds, where somebody only looks around: what is there must not wait for a plugin that hangs. */
const lookingWithin = 5;

/**
 * Why a plugin is asked: a volume is `needed`; it `leaves`, and the plugin can be told later, too; somebody only `looks` around.
 */
export type Purpose = "needed" | "leaves" | "looks";

/** How long a plugin that is not there yet, or does not listen, is waited for, in milliseconds: it may be just starting. */
const patience: Readonly<Record<Purpose, number>> = { needed: 10_000, leaves: 1000, looks: 0 };

/** A volume as its plugin describes it. */
export interface PluginVolume {
  readonly name: string;
  /** Where it is mounted, if it is; otherwise empty. */
  readonly mountpoint: string;
  readonly created?: string;
  /** Whatever the plugin wants to say. */
  readonly status?: Readonly<Record<string, unknown>>;
}

/** What is known of a plugin once it has answered. */
interface Acquaintance {
  readonly address: PluginAddress;
  readonly implemented: readonly unknown[];
}

/**
 * A volume driver outside of this program, by the volume plugin protocol of Docker, version 1. Nothing that it says is believed before it is
 * looked at. All methods throw PluginError, and StoreError if there is no such plugin.
 */
export class VolumePlugin {
  #acquaintance: Promise<Acquaintance> | undefined;

  constructor(
    readonly name: string,
    private readonly purpose: Purpose,
  ) {}

  async create(volume: string, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#call("VolumeDriver.Create", { Name: volume, Opts: options });
  }

  async remove(volume: string): Promise<void> {
    await this.#call("VolumeDriver.Remove", { Name: volume });
  }

  /**
   * Mounts a volume for somebody, and returns where: a directory that is there, by the path that the kernel knows it by, so that who has it
   * mounted elsewhere can be found.
   */
  async mount(volume: string, id: string): Promise<string> {
    const call = "VolumeDriver.Mount";
    const what = `${call} of ${volume}`;
    const mountpoint = this.#mountpoint(what, await this.#call(call, { Name: volume, ID: id }));
    if (mountpoint === "") this.#refuse(what, 'its answer has no "Mountpoint"');
    let real: string;
    let isDirectory: boolean;
    try {
      real = realpathSync.native(mountpoint);
      isDirectory = statSync(real).isDirectory();
    } catch (cause) {
      throw new PluginError(this.name, what, "wrong", `its mountpoint ${quoted(mountpoint)}: ${reason(cause)}`, cause);
    }
    if (!isDirectory) this.#refuse(what, `its mountpoint ${quoted(mountpoint)} is no directory`);
    return real;
  }

  /** Takes back what `mount` did for the same id. */
  async unmount(volume: string, id: string): Promise<void> {
    await this.#call("VolumeDriver.Unmount", { Name: volume, ID: id });
  }

  /** Where a volume is mounted; empty if it is not, or the plugin will not say. */
  async path(volume: string): Promise<string> {
    const call = "VolumeDriver.Path";
    try {
      return this.#mountpoint(`${call} of ${volume}`, await this.#call(call, { Name: volume }));
    } catch (error) {
      // Some take it for an error to be asked for what is not mounted.
      if (error instanceof PluginError && error.kind === "refused") return "";
      throw error;
    }
  }

  /** Throws PluginError of the kind `refused` if the plugin has no such volume. */
  async get(volume: string): Promise<PluginVolume> {
    const call = "VolumeDriver.Get";
    const what = `${call} of ${volume}`;
    const found = field(await this.#call(call, { Name: volume }), "Volume");
    if (found === undefined) throw new PluginError(this.name, what, "refused", "no such volume");
    const described = this.#volume(what, found);
    if (described.name !== volume) this.#refuse(what, `its answer is about ${quoted(described.name)}`);
    return described;
  }

  /** Its volumes, and what is wrong with those that are left out. */
  async list(): Promise<{ volumes: PluginVolume[]; wrong: PluginError[] }> {
    const call = "VolumeDriver.List";
    const answer = field(await this.#call(call, {}), "Volumes") ?? [];
    if (!Array.isArray(answer)) return this.#refuse(call, '"Volumes" in its answer is no list');
    const volumes: PluginVolume[] = [];
    const wrong: PluginError[] = [];
    for (const one of answer) {
      try {
        volumes.push(this.#volume(call, one));
      } catch (error) {
        if (!(error instanceof PluginError)) throw error;
        wrong.push(error);
      }
    }
    return { volumes, wrong };
  }

  /** Whether a volume is one for a single machine; those of plugins that do not say so, or say nonsense, are. */
  async scope(): Promise<"local" | "global"> {
    const call = "VolumeDriver.Capabilities";
    let reply: Readonly<Record<string, unknown>>;
    try {
      reply = await this.#call(call, {});
    } catch (error) {
      if (error instanceof PluginError && /^(refused|wrong)$/.test(error.kind)) return "local";
      throw error;
    }
    const capabilities = field(reply, "Capabilities");
    const isObject = typeof capabilities === "object" && capabilities !== null;
    const scope = isObject ? field(capabilities as Record<string, unknown>, "Scope") : undefined;
    return typeof scope === "string" && scope.toLowerCase() === "global" ? "global" : "local";
  }

  /** Whether it is for volumes at all: the same socket may be that of a network driver. */
  async isVolumeDriver(): Promise<boolean> {
    return isForVolumes(await this.#met());
  }

  async #call(
    call: string,
    document: { readonly Name?: string; readonly [key: string]: unknown },
  ): Promise<Readonly<Record<string, unknown>>> {
    const acquaintance = await this.#met();
    if (!isForVolumes(acquaintance)) {
      const what = acquaintance.implemented.map((one) => quoted(String(one))).join(", ");
      this.#refuse("Plugin.Activate", `it is no VolumeDriver: it implements ${what === "" ? "nothing" : what}`);
    }
    return await callPlugin(acquaintance.address, call, document, this.#limits(call));
  }

  /** Finds the plugin and asks what it is, once. */
  #met(): Promise<Acquaintance> {
    this.#acquaintance ??= this.#meet();
    return this.#acquaintance;
  }

  async #meet(): Promise<Acquaintance> {
    const call = "Plugin.Activate";
    const address = await this.#find();
    const implemented = field(await callPlugin(address, call, undefined, this.#limits(call)), "Implements");
    if (!Array.isArray(implemented)) return this.#refuse(call, '"Implements" in its answer is no list');
    return { address, implemented };
  }

  async #find(): Promise<PluginAddress> {
    const deadline = performance.now() + this.#patience();
    const undoes = interruption.aborted;
    for (;;) {
      const address = findPlugin(this.name);
      if (address !== undefined) return address;
      if (performance.now() >= deadline) throw new StoreError(unknownPlugin(this.name));
      await sleep(100);
      if (!undoes) checkInterruption();
    }
  }

  #patience(): number {
    const byHand = timeoutByHand();
    return byHand === undefined || this.purpose === "looks" ? patience[this.purpose] : 1000 * byHand;
  }

  #limits(call: string): CallLimits {
    const seconds = timeoutByHand() ?? (this.purpose === "looks" ? lookingWithin : (answerWithin[call] ?? 0));
    return { answer: 1000 * seconds, patience: this.#patience() };
  }

  #refuse(call: string, why: string): never {
    throw new PluginError(this.name, call, "wrong", why);
  }

  /** The mountpoint in a reply, or in the description of a volume; empty if there is none. */
  #mountpoint(call: string, reply: Readonly<Record<string, unknown>>): string {
    const mountpoint = field(reply, "Mountpoint") ?? "";
    if (typeof mountpoint !== "string") return this.#refuse(call, '"Mountpoint" in its answer is no text');
    if (mountpoint === "") return "";
    const isClean = mountpoint.startsWith("/") && !mountpoint.includes("\0") && !mountpoint.split("/").includes("..");
    if (!isClean) this.#refuse(call, `its mountpoint ${quoted(mountpoint)} is no absolute path without ".."`);
    return mountpoint;
  }

  #volume(call: string, value: unknown): PluginVolume {
    if (typeof value !== "object" || value === null) return this.#refuse(call, "a volume in its answer is no object");
    const described = value as Readonly<Record<string, unknown>>;
    const name = field(described, "Name");
    if (typeof name !== "string" || name === "" || /\p{C}/u.test(name)) {
      return this.#refuse(call, "a volume in its answer has no name that could be one");
    }
    const status = field(described, "Status");
    const created = field(described, "CreatedAt");
    return {
      name,
      mountpoint: this.#mountpoint(call, described),
      ...(typeof created === "string" && created !== "" ? { created } : {}),
      ...(typeof status === "object" && status !== null ? { status: status as Record<string, unknown> } : {}),
    };
  }
}

function isForVolumes({ implemented }: Acquaintance): boolean {
  return implemented.includes("VolumeDriver");
}

/** The message where nothing is found under the name of a driver. */
export function unknownPlugin(name: string): string {
  return `the volume driver ${JSON.stringify(name)} is not known: it is neither local nor a plugin in ${pluginDirectories().join(", ")}`;
}

/** COWFS_PLUGIN_TIMEOUT, in seconds. Throws StoreError if it is no such number. */
function timeoutByHand(): number | undefined {
  const text = process.env["COWFS_PLUGIN_TIMEOUT"];
  if (text === undefined || text === "") return undefined;
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) {
    throw new StoreError(`COWFS_PLUGIN_TIMEOUT is ${JSON.stringify(text)}: a number of seconds above 0 is expected`);
  }
  return seconds;
}
