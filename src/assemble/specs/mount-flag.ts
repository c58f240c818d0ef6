import { checkName } from "../../store/names.js";
import type { MountSpec, Propagation } from "../../store/records.js";
import { csvFields } from "./csv.js";
import { parseSize } from "./size.js";
import { SpecError } from "./spec-error.js";
import { hostPath, type Surroundings, targetPath } from "./target.js";

/** Other names of options. */
const aliases: Readonly<Record<string, string>> = {
  src: "source",
  dst: "target",
  destination: "target",
  ro: "readonly",
};

/** The options, and those of them that may stand without a value. */
const known = new Set([
  ...["type", "source", "target", "readonly", "consistency"],
  ...["bind-propagation", "bind-recursive", "bind-create-src"],
  ...["volume-subpath", "volume-nocopy", "volume-label", "volume-driver", "volume-opt"],
  ...["image-subpath", "tmpfs-size", "tmpfs-mode"],
]);
const switches = new Set(["readonly", "volume-nocopy", "bind-create-src"]);

const types = ["bind", "volume", "tmpfs", "image"] as const;
const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"] as const;
const recursions = ["enabled", "disabled", "writable", "readonly"] as const;

/** The options of one `--mount`, each checked by itself. */
interface Fields {
  type: string;
  source?: string;
  target?: string;
  readOnly?: boolean;
  propagation?: Propagation;
  recursive?: MountSpec["recursive"];
  createSource?: boolean;
  noCopy?: boolean;
  subpath?: string;
  driver?: string;
  labels: Record<string, string>;
  driverOptions: Record<string, string>;
  tmpfsOptions: string[];
  /** The families of options that were used: `bind`, `volume`, … */
  families: Set<string>;
}

/**
 * `--mount KEY[=VALUE],…`, comma-separated values in which a field may be quoted. The type is `volume` if none is given. The source of a bind
 * must exist when it is mounted, unless `bind-create-src` is given. Throws SpecError that names option and field.
 */
export function parseMountFlag(text: string, surroundings: Surroundings): MountSpec {
  if (text === "") throw new SpecError("value is empty");
  const fields: Fields = {
    type: "volume",
    labels: {},
    driverOptions: {},
    tmpfsOptions: [],
    families: new Set(),
  };
  for (const field of csvFields(text)) readField(field, fields);
  return specOf(fields, surroundings);
}

function readField(field: string, fields: Fields): void {
  const equals = field.indexOf("=");
  const written = equals < 0 ? field : field.slice(0, equals);
  if (/\s/.test(written))
    throw new SpecError(`invalid option '${written}' in '${field}': option should not have whitespace`);
  const lower = written.toLowerCase();
  const key = aliases[lower] ?? lower;
  if (!known.has(key)) {
    if (equals < 0) throw new SpecError(`invalid field '${field}' must be a key=value pair`);
    throw new SpecError(`unknown option '${written}' in '${field}'`);
  }
  if (equals < 0 && !switches.has(key)) throw new SpecError(`invalid field '${field}' must be a key=value pair`);
  const value = equals < 0 ? "true" : field.slice(equals + 1);
  if (value === "") throw new SpecError(`invalid value for '${written}' in '${field}': value is empty`);
  if (value !== value.trim()) {
    throw new SpecError(`invalid value for '${written}' in '${field}': value should not have whitespace`);
  }
  const refuse = (why: string): never => {
    throw new SpecError(`invalid value for '${written}' in '${field}': ${why}`);
  };
  const [family = "", rest] = key.split(/-(.*)/, 2);
  if (rest !== undefined) fields.families.add(family);
  readValue(key, value, fields, refuse);
}

type Refuse = (why: string) => never;

function readValue(key: string, value: string, fields: Fields, refuse: Refuse): void {
  switch (key) {
    case "type":
      fields.type = value.toLowerCase();
      break;
    case "source":
      fields.source = value;
      break;
    case "target":
      fields.target = value;
      break;
    case "readonly":
      fields.readOnly = booleanOf(value, refuse);
      break;
    case "bind-propagation":
      fields.propagation = choice(value.toLowerCase(), propagations, refuse);
      break;
    case "bind-recursive":
      fields.recursive = choice(value, recursions, refuse);
      break;
    case "bind-create-src":
      fields.createSource = booleanOf(value, refuse);
      break;
    case "volume-nocopy":
      fields.noCopy = booleanOf(value, refuse);
      break;
    case "volume-driver":
      fields.driver = value;
      break;
    case "volume-label":
      addPair(fields.labels, value);
      break;
    case "volume-opt":
      addPair(fields.driverOptions, value);
      break;
    case "volume-subpath":
    case "image-subpath":
      fields.subpath = value;
      break;
    case "tmpfs-size": {
      const size = parseSize(value);
      if (size === undefined) refuse("it is no size: a number of bytes, or with k, m or g");
      fields.tmpfsOptions.push(`size=${size}`);
      break;
    }
    case "tmpfs-mode":
      if (!/^[0-7]{1,5}$/.test(value)) refuse("it is no octal mode");
      fields.tmpfsOptions.push(`mode=${value}`);
      break;
    default: // consistency says nothing on Linux
  }
}

function booleanOf(value: string, refuse: Refuse): boolean {
  if (value === "1" || value === "true") return true;
  if (value === "0" || value === "false") return false;
  return refuse('invalid boolean value: must be one of "true", "1", "false", or "0"');
}

function choice<T extends string>(value: string, choices: readonly T[], refuse: Refuse): T {
  return choices.find((word) => word === value) ?? refuse(`must be one of ${choices.join(", ")}`);
}

function addPair(pairs: Record<string, string>, text: string): void {
  const [key = "", value = ""] = text.split(/=(.*)/s, 2);
  pairs[key] = value;
}

/** What holds between the fields. */
function specOf(fields: Fields, surroundings: Surroundings): MountSpec {
  const type = types.find((name) => name === fields.type);
  const invalid = `invalid mount config for type "${fields.type}"`;
  if (type === undefined) throw new SpecError(`${invalid}: mount type unknown: use one of ${types.join(", ")}`);
  if (fields.target === undefined) throw new SpecError("target is required");
  for (const family of fields.families) {
    if (family !== type) throw new SpecError(`cannot mix '${family}-*' options with mount type '${type}'`);
  }
  const target = targetPath(fields.target);
  const readOnly = fields.readOnly === true || type === "image";
  const common = { target, readOnly, origin: "mount" as const };
  const subpath = fields.subpath === undefined ? {} : { subpath: subpathOf(fields.subpath, type) };
  switch (type) {
    case "bind":
      return bindOf(fields, { ...common, type }, invalid, surroundings);
    case "tmpfs":
      if (fields.source !== undefined) throw new SpecError(`${invalid}: field Source must not be specified`);
      return { ...common, type, tmpfsOptions: fields.tmpfsOptions };
    case "image":
      if (fields.source === undefined) throw new SpecError(`${invalid}: field Source must not be empty`);
      return { ...common, type, source: fields.source, ...subpath };
    default:
      if (fields.source !== undefined) checkName(fields.source, "volume");
      return {
        ...common,
        type,
        ...(fields.source === undefined ? {} : { source: fields.source }),
        ...(fields.noCopy === true ? { noCopy: true } : {}),
        ...subpath,
        ...(fields.driver === undefined ? {} : { driver: fields.driver }),
        ...(Object.keys(fields.labels).length === 0 ? {} : { labels: fields.labels }),
        ...(Object.keys(fields.driverOptions).length === 0 ? {} : { driverOptions: fields.driverOptions }),
      };
  }
}

function bindOf(
  { source, propagation, recursive, createSource }: Fields,
  common: Pick<MountSpec, "target" | "readOnly" | "origin" | "type">,
  invalid: string,
  surroundings: Surroundings,
): MountSpec {
  if (source === undefined) throw new SpecError(`${invalid}: field Source must not be empty`);
  if (!/^[./~]/.test(source))
    throw new SpecError(`${invalid}: invalid mount path: '${source}' mount path must be absolute`);
  if ((recursive === "readonly" || recursive === "writable") && !common.readOnly) {
    throw new SpecError(`option 'bind-recursive=${recursive}' requires 'readonly' to be specified in conjunction`);
  }
  if (recursive === "readonly" && propagation !== "rprivate") {
    throw new SpecError(
      "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
    );
  }
  return {
    ...common,
    source: hostPath(source, surroundings),
    ...(propagation === undefined ? {} : { propagation }),
    ...(recursive === undefined ? {} : { recursive }),
    ...(createSource === true ? { createSource } : {}),
  };
}

/** A directory within a volume or an image: a relative path that does not climb. */
function subpathOf(text: string, type: string): string {
  if (text.startsWith("/") || text.includes("\0") || text.split("/").includes("..")) {
    throw new SpecError(`invalid mount config for type "${type}": subpath must be a relative path within the ${type}`);
  }
  return text;
}
