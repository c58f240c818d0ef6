import { type LiveMount, liveMounts } from "../session/state.js";
import { shown } from "../text.js";
import { print } from "./exit.js";
import { cell, table } from "./output/table.js";

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

/** A path in a table. */
function path(bytes: string): string {
  return cell(shown(bytes));
}

/** The layers as `--lower` takes them. */
function layerList(lowers: readonly string[], data: readonly string[]): string {
  const escaped = (layer: string): string => layer.replace(/[:\\]/g, "\\$&");
  return [lowers.map(escaped).join(":"), ...data.map(escaped)].join("::");
}

/** The table for people. A mount whose driver is not known here (dead, or started by another user) shows `-`. */
export function mountTable(mounts: readonly LiveMount[]): string {
  const rows = mounts.map(({ mountpoint, readOnly, state }) => [
    path(mountpoint),
    readOnly ? "ro" : "rw",
    state === undefined ? "-" : String(state.pid),
    path(state?.upper ?? "-"),
    path(state === undefined ? "-" : layerList(state.lowers, state.dataLowers ?? [])),
  ]);
  return table([["MOUNTPOINT", "MODE", "PID", "UPPER", "LOWERS"], ...rows]);
}

/** `cowfs mounts`: the mounts of this mount namespace. With `json`, an array of objects, whose paths keep their bytes. */
export function mountsCommand(json: boolean): number {
  const mounts = liveMounts();
  if (json) {
    print(Buffer.from(`${JSON.stringify(mounts.map(rowOf), null, 2)}\n`, "latin1"));
  } else print(mountTable(mounts));
  return 0;
}
