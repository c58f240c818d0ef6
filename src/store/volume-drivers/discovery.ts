import { readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { reason } from "../data-root.js";
import { StoreError } from "../error.js";

/** Where plugins are looked for: their sockets, and files that say where they listen. Those of Docker, in its order. */
const usualDirectories = ["/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins"];

/** The files of a plugin that may say how it is reached, by what their names end in; the first that is there counts. */
const kinds = ["sock", "spec", "json"] as const;

/** Files that prove who is at the other end, as `TLSConfig` names them. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Whoever answers is believed to be the plugin. */
  readonly trustsAnybody: boolean;
}

/** How a plugin is reached. */
export interface PluginAddress {
  readonly name: string;
  readonly target:
    | { readonly socketPath: string }
    | { readonly protocol: "http:" | "https:"; readonly host: string; readonly port: number };
  /** For people. */
  readonly shown: string;
  readonly tls?: TlsFiles;
}

/** What says how a plugin is reached is wrong; what for it is, nobody can tell. */
export class AddressError extends StoreError {}

/** The directories, or those of COWFS_PLUGIN_DIRS (colons between them) in their place. Throws StoreError for one that is not absolute. */
export function pluginDirectories(environment: NodeJS.ProcessEnv = process.env): readonly string[] {
  const own = environment["COWFS_PLUGIN_DIRS"];
  if (own === undefined || own === "") return usualDirectories;
  const directories = own.split(":");
  const wrong = directories.find((directory) => !directory.startsWith("/"));
  if (wrong !== undefined) {
    throw new StoreError(
      `COWFS_PLUGIN_DIRS names ${JSON.stringify(wrong)}: absolute paths are expected, colons between them`,
    );
  }
  return directories;
}

function isPluginName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name);
}

/** The names of all plugins that can be found, whatever they are for, sorted. */
export function pluginNames(): string[] {
  const names = new Set<string>();
  for (const directory of pluginDirectories()) {
    for (const entry of namesIn(directory)) {
      const name = entry.replace(/\.(?:sock|spec|json)$/, "");
      if (isPluginName(name) && name !== "local" && fileOf(directory, name) !== undefined) names.add(name);
    }
  }
  return [...names].sort();
}

/** A directory that is not there, or may not be read, has no plugins. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The file of a plugin in a directory: `NAME.KIND`, or the same in a directory NAME. */
function fileOf(directory: string, name: string): string | undefined {
  const candidates = kinds.flatMap((kind) => [
    join(directory, `${name}.${kind}`),
    join(directory, name, `${name}.${kind}`),
  ]);
  return candidates.find((path) => {
    const stat = statOf(path);
    return path.endsWith(".sock") ? stat?.isSocket() === true : stat?.isFile() === true;
  });
}

/** What may not be looked at, or leads nowhere, is not there. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** How a plugin is reached; undefined if there is none of that name. Throws AddressError, and StoreError for wrong directories. */
export function findPlugin(name: string): PluginAddress | undefined {
  if (!isPluginName(name)) return undefined;
  for (const directory of pluginDirectories()) {
    const file = fileOf(directory, name);
    if (file === undefined) continue;
    if (file.endsWith(".sock")) return { name, target: { socketPath: file }, shown: file };
    return readAddress(name, file);
  }
  return undefined;
}

function readAddress(name: string, file: string): PluginAddress {
  const wrong = (why: string, cause?: unknown): StoreError =>
    new AddressError(`volume plugin ${name}: ${file}: ${why}`, { cause });
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw wrong(`it cannot be read: ${reason(cause)}`, cause);
  }
  if (file.endsWith(".spec")) return { name, ...addressOf(text.trim(), wrong) };
  const { Addr: address, TLSConfig: config } = documentOf(text, wrong);
  if (typeof address !== "string") throw wrong('"Addr" is missing');
  const parsed = addressOf(address.trim(), wrong);
  if (config === undefined || config === null) return { name, ...parsed };
  if (!("protocol" in parsed.target) || parsed.target.protocol !== "https:") {
    throw wrong(`"TLSConfig" is only good for an address https://HOST:PORT, and not for ${address}`);
  }
  return { name, ...parsed, tls: tlsOf(config, wrong) };
}

type Wrong = (why: string, cause?: unknown) => StoreError;

function documentOf(text: string, wrong: Wrong): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw wrong("it is no JSON", cause);
  }
  if (typeof value !== "object" || value === null) throw wrong("it is no JSON object");
  return value as Record<string, unknown>;
}

/** `unix:///PATH`, `tcp://HOST:PORT`, `http://…` or `https://…`; a path behind a port says nothing. */
function addressOf(text: string, wrong: Wrong): Pick<PluginAddress, "target" | "shown"> {
  const socket = /^unix:\/\/(\/.+)$/.exec(text)?.[1];
  if (socket !== undefined) return { target: { socketPath: socket }, shown: text };
  const match = /^(tcp|https?):\/\/(\[[0-9a-fA-F:.]+\]|[^/:[\]\s]+)(?::(\d{1,5}))?(?:\/.*)?$/.exec(text);
  const protocol = match?.[1] === "https" ? "https:" : "http:";
  const port = Number(match?.[3] ?? (protocol === "https:" ? 443 : 80));
  if (match === null || port < 1 || port > 65_535) {
    throw wrong(`the address ${JSON.stringify(text)} is none of unix:///PATH, tcp://HOST:PORT, http://… and https://…`);
  }
  return { target: { protocol, host: (match[2] ?? "").replace(/[[\]]/g, ""), port }, shown: text };
}

function tlsOf(config: unknown, wrong: Wrong): TlsFiles {
  if (typeof config !== "object" || config === null) throw wrong('"TLSConfig" is no object');
  const fields = config as Readonly<Record<string, unknown>>;
  const path = (key: string): string | undefined => {
    const value = fields[key];
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw wrong(`"${key}" in "TLSConfig" is no path`);
    return value;
  };
  const [ca, cert, key] = [path("CAFile"), path("CertFile"), path("KeyFile")];
  if ((cert === undefined) !== (key === undefined)) throw wrong('"CertFile" and "KeyFile" belong together');
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    trustsAnybody: fields["InsecureSkipVerify"] === true,
  };
}
