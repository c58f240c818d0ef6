import { type LiveMount, liveMounts } from "../session/state.js";
import { shownWhole } from "../text.js";
import { print } from "./exit.js";
import { cell, hex, table } from "./output/table.js";

/** One row of the list, as machines read it. Paths are bytes in latin1 strings. */
interface Row {
  readonly mountpoint: string;
  readonly source: string;
  readonly readOnly: boolean;
  readonly pid: number | null;
  readonly upper: string | null;
  readonly work: string | null;
  readonly lowers: readonly string[] | null;
  readonly dataLowers: readonly string[] | null;
  readonly options: readonly string[];
  readonly started: string | null;
}

function rowOf(mount: LiveMount): Row {
  const { state } = mount;
  return {
    mountpoint: mount.mountpoint,
    source: mount.source,
    readOnly: mount.readOnly,
    pid: state?.pid ?? null,
    upper: state?.upper ?? null,
    work: state?.work ?? null,
    lowers: state?.lowers ?? null,
    dataLowers: state === undefined ? null : (state.dataLowers ?? []),
    options: state?.options ?? mount.mountOptions.split(","),
    started: state?.started ?? null,
  };
}

/** A path in a table: a byte that is not UTF-8 has no picture. */
export function path(bytes: string): string {
  return cell(shownWhole(bytes, hex));
}

/** Text that stands for any bytes: one that is not UTF-8 is the lone surrogate U+DC00 + byte, as in Python's file names. */
export function surrogateText(bytes: string): string {
  return shownWhole(bytes, (byte) => String.fromCharCode(0xdc00 + byte));
}

/** The layers as `--lower` takes them. */
function layerList(lowers: readonly string[], data: readonly string[]): string {
  const escaped = (layer: string): string => layer.replace(/[:\\]/g, "\\$&");
  return [lowers.map(escaped).join(":"), ...data.map(escaped)].join("::");
}

/** The table for people. A mount whose driver is not known here (dead, or started by another user) shows `-`. */
function mountTable(mounts: readonly LiveMount[]): string {
  const rows = mounts.map(({ mountpoint, readOnly, state }) => [
    path(mountpoint),
    readOnly ? "ro" : "rw",
    state === undefined ? "-" : String(state.pid),
    path(state?.upper ?? "-"),
    path(state === undefined ? "-" : layerList(state.lowers, state.dataLowers ?? [])),
  ]);
  return table([["MOUNTPOINT", "MODE", "PID", "UPPER", "LOWERS"], ...rows]);
}

/** `cowfs mounts`: the mounts of this mount namespace. With `json`, an array of objects, in ASCII and UTF-8 whatever the paths are. */
export function mountsCommand(json: boolean): number {
  const mounts = liveMounts();
  if (json) {
    const asText = (_key: string, value: unknown): unknown =>
      typeof value === "string" ? surrogateText(value) : value;
    // Lone surrogates become escapes: \udcff.
    print(`${JSON.stringify(mounts.map(rowOf), asText, 2)}\n`);
  } else print(mountTable(mounts));
  return 0;
}
