import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./store.js";

const script = fileURLToPath(new URL("../tools/volume-plugin.mjs", import.meta.url));

/** A request that the plugin got. */
export interface PluginCall {
  readonly call: string;
  readonly method: string;
  readonly accept: string;
  readonly type: string;
  readonly Name?: string;
  readonly ID?: string;
  readonly Opts?: Readonly<Record<string, string>>;
}

/** How a call is answered wrongly: a name of the plugin's script, or a status and a body; `["done", …]` after the work is done. */
type Wrong = string | { readonly status: number; readonly body?: string };
export type Behaviour = Readonly<Record<string, Wrong | readonly ["done", Wrong]>>;

/** A volume plugin, a process: see `tools/volume-plugin.mjs`. */
export class VolumePlugin {
  #process: ChildProcess | undefined;

  /**
   * @param directory what it keeps
   * @param socket where it listens; what ends in PORT is a file that tells the number of a port
   * @param certificates a directory with ca.pem, cert.pem and key.pem, for TLS on a port
   */
  constructor(
    readonly directory: string,
    readonly socket: string,
    private readonly certificates?: string,
  ) {
    mkdirSync(directory, { recursive: true });
  }

  /** Starts it, and returns when it listens. */
  async start(): Promise<void> {
    rmSync(this.socket, { force: true });
    const words = [
      script,
      this.socket,
      this.directory,
      ...(this.certificates === undefined ? [] : [this.certificates]),
    ];
    this.#process = spawn(process.execPath, words, {
      stdio: ["ignore", "ignore", "inherit"],
    });
    await until(() => existsSync(this.socket), "the plugin");
  }

  /** Kills it, and returns when it is gone. What it has mounted stays. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  /** From now on. */
  behave(how: Behaviour): void {
    const calls = Object.entries(how).map(([call, wrong]) => [`/${call}`, wrong]);
    const file = join(this.directory, "behaviour");
    writeFileSync(file, JSON.stringify(Object.fromEntries(calls)));
  }

  /** The requests since the last time that this was asked. */
  calls(): PluginCall[] {
    const file = join(this.directory, "calls");
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, "utf8").split("\n");
    rmSync(file);
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as PluginCall);
  }

  /** Those that mount and unmount, as `Mount NAME ID`. */
  mounts(): string[] {
    const counted = /^\/VolumeDriver\.(Mount|Unmount)$/;
    return this.calls().flatMap(({ call, Name, ID }) => {
      const what = counted.exec(call)?.[1];
      return what === undefined ? [] : [`${what} ${Name} ${ID}`];
    });
  }
}
