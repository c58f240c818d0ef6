import { driverOf } from "../../assemble/drivers/choose.js";
import { projectOf } from "../../store/container-project.js";
import { findContainer, placesOf, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import type { ContainerRecord, ContainerState, MountSpec } from "../../store/records.js";
import { usedMountpoint } from "../../store/volume-drivers/uses.js";
import { volumeData } from "../../store/volume-places.js";
import { findVolume, localDriver } from "../../store/volume-records.js";
import { forEachWord } from "../each.js";
import { printObjects } from "../output/list.js";

/** `cowfs inspect`. What there is not is said, and the others are shown. Returns the exit code. */
export async function inspectCommand(
  root: DataRoot,
  names: readonly string[],
  options: { format?: string; json?: boolean; size?: boolean },
): Promise<number> {
  const objects: object[] = [];
  const code = await forEachWord(names, async (name) => {
    objects.push(await describe(root, findContainer(root, name), options.size === true));
  });
  printObjects(objects, options);
  return code;
}

/** As Docker describes a container, for as much as there is here. */
export async function describe(root: DataRoot, record: ContainerRecord, withSize: boolean): Promise<object> {
  const state = readState(root, record.id);
  const driver = driverOf(record);
  const { process: own, mounts } = record;
  const [path = "", ...args] = own.args;
  return {
    Id: record.id,
    Created: record.created,
    Path: path,
    Args: args,
    State: stateObject(state),
    Image: record.image.id,
    LogPath: placesOf(root, record.id).log,
    Name: record.name,
    Driver: driver.name,
    Platform: "linux",
    HostConfig: {
      AutoRemove: record.autoRemove,
      ReadonlyRootfs: record.readOnly,
      Runtime: record.runtime,
      StorageOpt: record.storageOptions ?? null,
      NetworkMode: record.network ?? "host",
      Init: record.init === true,
      Binds: mounts.filter(({ type }) => type === "bind").map(({ source, target }) => `${source}:${target}`),
    },
    GraphDriver: {
      Name: driver.name,
      Data: { ...driver.places(root, record), ...quotaOf(root, record, state) },
    },
    ...(withSize ? { SizeRw: await driver.size(root, record) } : {}),
    Mounts: mounts.map((mount) => mountObject(root, record.id, mount)),
    Config: {
      Hostname: record.hostname,
      User: own.user,
      Tty: own.terminal,
      OpenStdin: own.openStdin,
      Env: own.env,
      Entrypoint: own.args.slice(0, own.entrypointLength),
      Cmd: own.args.slice(own.entrypointLength),
      Image: record.image.name,
      WorkingDir: own.workingDirectory,
      Labels: record.labels,
      StopSignal: own.stopSignal,
    },
  };
}

/** Who keeps the size of the writable layer; that is decided at the first start. */
function quotaOf(root: DataRoot, { id, storageOptions }: ContainerRecord, { started }: ContainerState): object {
  if (storageOptions?.size === undefined || started === undefined) return {};
  return { Quota: projectOf(placesOf(root, id).upper) > 0 ? "project" : "counted" };
}

function stateObject(state: ContainerState): object {
  return {
    Status: state.status,
    Running: state.status === "running",
    Paused: false,
    Dead: false,
    Pid: state.status === "running" ? (state.pid ?? 0) : 0,
    ExitCode: state.exitCode ?? 0,
    Error: state.error ?? "",
    StartedAt: state.started ?? "0001-01-01T00:00:00Z",
    FinishedAt: state.finished ?? "0001-01-01T00:00:00Z",
  };
}

function mountObject(root: DataRoot, id: string, mount: MountSpec): object {
  const { type, source = "", target, readOnly, propagation } = mount;
  return {
    Type: type,
    ...(type === "volume" ? volumeObject(root, id, source, mount.driver) : { Source: source }),
    Destination: target,
    Mode: readOnly ? "ro" : "",
    RW: !readOnly,
    Propagation: type === "bind" ? (propagation ?? "rprivate") : "",
  };
}

/** A volume of a plugin is somewhere only while the container runs. */
function volumeObject(root: DataRoot, id: string, name: string, asked: string | undefined): object {
  const driver = findVolume(root, name)?.driver ?? asked ?? localDriver;
  const isLocal = driver === localDriver;
  return {
    Name: name,
    Source: isLocal ? volumeData(root, name) : (usedMountpoint(root, id, name) ?? ""),
    Driver: driver,
  };
}
