import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EBUSY, EINVAL, ENOENT, EPERM, errnoName } from "../errno.js";
import { MNT_DETACH } from "../native/constants.js";
import { native } from "../native/index.js";
import { type Mount, readMounts, topMountOn } from "../native/mountinfo.js";
import { processStart } from "../native/process.js";
import { fileSystemType, type VolumeUses } from "../session/config.js";
import { type LiveMount, leftState, liveMounts, type MountState } from "../session/state.js";
import { shown } from "../text.js";
import { isInside } from "../union/paths.js";
import { absolutePath, resolvedPath, workingDirectory } from "./arguments.js";
import { CommandError, complain, UsageError } from "./exit.js";
import { type Holder, holdersOf } from "./holders.js";

/** How long to wait for a driver that has been unmounted to sync its upper and end, in milliseconds. */
const patience = 60_000;
/** How long a mount over this one may take to let go of it, in milliseconds. */
const heldPatience = 500;
/** How many of the processes that use a mount are named. */
const namedHolders = 5;

/** `cowfs umount`: unmounts, and returns when the driver has ended, so that its layers are free. Returns the exit code. */
export async function umountCommand(path: string, lazy: boolean): Promise<number> {
  if (path === "") throw new UsageError("the mountpoint is an empty word");
  const mountpoint = resolvedPath(absolutePath(path, workingDirectory()));
  const mount = liveMounts().findLast((live) => live.mountpoint === mountpoint);
  const top = topMountOn(mountpoint);
  if (mount === undefined || top === undefined) {
    const why = isMissing(mountpoint) ? "does not exist" : "is not a mount of cowfs";
    throw new CommandError(`${shown(mountpoint)} ${why}: see cowfs mounts`);
  }
  if (top.type !== fileSystemType) {
    throw new CommandError(
      `${shown(mountpoint)} is covered by a mount of type ${top.type}: unmount that one first (umount ${shown(mountpoint)})`,
    );
  }
  // Nothing can be lost in a mount whose driver was killed.
  const left = leftState(mount);
  if (left?.covered === true) await uncover(mountpoint, top, lazy || mount.state === undefined);
  const result = native.umount(mountpoint, lazy ? MNT_DETACH : 0);
  if (result === -EBUSY) {
    const inner = readMounts().filter((other) => other.mountpoint.startsWith(`${mountpoint}/`));
    throw new CommandError(busyMessage(mountpoint, inner, holdersOf(top)));
  }
  if (result === -EPERM) unmountByHelper(mountpoint, lazy);
  else if (result === -EINVAL || result === -ENOENT)
    throw new CommandError(`${shown(mountpoint)} is not mounted any more`);
  else if (result < 0) throw new CommandError(`${shown(mountpoint)} cannot be unmounted: ${errnoName(result)}`);
  // A detached mount lives for as long as somebody uses it, and one mounted elsewhere too lives on.
  if (!lazy && !shownElsewhere(mount) && mount.state !== undefined) await driverEnd(mount, mount.state);
  if (left?.volumeUses !== undefined) endVolumeUses(left.volumeUses);
  return 0;
}

/** Plugins that have mounted volumes for what is unmounted now are told, by a process that has the code for that. */
function endVolumeUses({ root, id }: VolumeUses): void {
  const [node, script = ""] = process.argv;
  if (node === undefined || !existsSync(join(root, "volume-uses", id))) return;
  const { error, status } = spawnSync(node, [...process.execArgv, script, "--end-volume-uses", root, id], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (error !== undefined || status !== 0) {
    complain(`plugins could not be told that volumes are free: ${error?.message ?? "see above"}`);
  }
}

/** Undoes the mounts that were made over a mount with it. If one of them is in use, all stay. */
async function uncover(mountpoint: string, top: Mount, lazy: boolean): Promise<void> {
  const { mountsBelow, undoBelow } = await import("../assemble/apply.js");
  const holders = [top, ...mountsBelow(mountpoint)].flatMap((mount) => holdersOf(mount));
  // Each process once, whichever of the mounts it uses.
  const processes = [...new Map(holders.map((holder) => [holder.pid, holder])).values()];
  if (!lazy && processes.length > 0) throw new CommandError(busyMessage(mountpoint, [], processes));
  undoBelow(mountpoint, lazy);
}

/** Whether a path that nothing of cowfs is mounted on leads nowhere. */
function isMissing(path: string): boolean {
  try {
    lstatSync(Buffer.from(path, "latin1"));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

function shownElsewhere(mount: LiveMount): boolean {
  return readMounts().some((other) => other.type === fileSystemType && other.minor === mount.minor);
}

function busyMessage(mountpoint: string, inner: readonly Mount[], holders: readonly Holder[]): string {
  const reasons = inner.map((mount) => `${shown(mount.mountpoint)} is mounted in it`);
  for (const { pid, command, use } of holders) {
    reasons.push(`${pid === process.pid ? "this command itself" : `process ${pid} (${shown(command)})`} ${shown(use)}`);
  }
  const named = reasons.slice(0, namedHolders);
  if (reasons.length > named.length) named.push(`and ${reasons.length - named.length} more`);
  const why = named.length === 0 ? "by processes that cannot be seen from here" : `: ${named.join("; ")}`;
  const remedy = inner.length === 0 ? "End them" : "Unmount what is mounted in it first";
  return `${shown(mountpoint)} is in use${named.length === 0 ? " " : ""}${why}. ${remedy}, or detach it with cowfs umount --lazy`;
}

/** What someone who may not unmount can use: a program of the fuse3 package that is set-user-id root. */
function unmountByHelper(mountpoint: string, lazy: boolean): void {
  const path = shown(mountpoint);
  const args = ["-u", ...(lazy ? ["-z"] : []), "--", path];
  const { error, status, stderr } = spawnSync("fusermount3", args, {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (error !== undefined) {
    throw new CommandError(
      `${path}: no permission to unmount, and fusermount3 cannot be run: be root, or install fuse3`,
      { cause: error },
    );
  }
  if (status !== 0) {
    const said = stderr.trim().replace(/\s*\n\s*/g, "; ");
    throw new CommandError(`${path}: no permission to unmount: be root, or the user who mounted it (${said})`);
  }
}

/** A process that has ended and whose parent has not looked yet. */
function isZombie(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return true;
  }
}

/** Whether the file system of a mount is there, although nothing leads to it any more. The kernel has a directory for each, where /sys is mounted. */
function isHeld(mount: LiveMount): boolean {
  return existsSync(`/sys/class/bdi/0:${mount.minor}`);
}

/** The mounts that were made over another one, and so keep it: each layer is a private clone. Only those that are seen from here. */
function mountsOver(mount: LiveMount, own: MountState): string[] {
  const over = liveMounts().filter(({ state }) => {
    const layers = state === undefined ? [] : [...state.lowers, ...(state.dataLowers ?? [])];
    const isOver = layers.some((layer) => isInside(resolvedPath(layer), mount.mountpoint));
    return isOver && (state?.started ?? "") >= own.started;
  });
  return over.map(({ mountpoint }) => shown(mountpoint));
}

async function driverEnd(mount: LiveMount, state: MountState): Promise<void> {
  const over = mountsOver(mount, state);
  const start = Date.now();
  const deadline = start + patience;
  while (processStart(state.pid) === state.processStart && !isZombie(state.pid)) {
    if (over.length > 0 && Date.now() > start + heldPatience && isHeld(mount)) {
      complain(
        `${shown(mount.mountpoint)} is unmounted, but it is a layer of the mount on ${over.join(", ")}: the driver (process ${state.pid}) serves that, and its layers stay locked, until it is unmounted too`,
      );
      return;
    }
    if (Date.now() > deadline) {
      complain(
        `unmounted, but the driver (process ${state.pid}) is still writing: its layers stay locked until it ends`,
      );
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
