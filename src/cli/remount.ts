import { EBUSY, errnoName } from "../errno.js";
import { MS_REMOUNT } from "../native/constants.js";
import { native } from "../native/index.js";
import { topMountOn } from "../native/mountinfo.js";
import { fileSystemType } from "../session/config.js";
import { mountFlagBits } from "../session/mount.js";
import { liveMounts } from "../session/state.js";
import { shown } from "../text.js";
import { absolutePath, resolvedPath } from "./arguments.js";
import { CommandError, UsageError } from "./exit.js";
import { applyOptionList, defaultMountOptions, splitOptionList } from "./mount-options.js";
import type { MountWords } from "./mount-plan.js";

/** What the kernel keeps of a mount, and changes without its driver. */
const changeable =
  /^(ro|rw|(no)?(suid|dev|exec|diratime|atime|relatime|symfollow)|strictatime|lazytime|sync|async|dirsync)$/;

/**
 * `cowfs mount -o remount,…`, which `mount -o remount,…` comes to as well: changes what the kernel keeps of a mount. mount(8) hands on all that the
 * mount was made with; what of it is to change nobody can tell, so that the rest is skipped then. Throws UsageError, CommandError.
 */
export function remount(words: MountWords, cwd: string): void {
  const { positionals, options: lists, readOnly, asHelper, ...others } = words;
  const path = positionals.at(-1);
  if (path === undefined || path === "") throw new UsageError("remount needs the mountpoint");
  if (positionals.length > 2) {
    throw new UsageError("too many arguments: remount takes one mountpoint, and a source before it");
  }
  const mountpoint = resolvedPath(absolutePath(path, cwd));
  if (Object.values(others).some((value) => (Array.isArray(value) ? value.length > 0 : Boolean(value)))) {
    throw new UsageError(
      "remount changes options (-o) alone, not layers, flags, or what is mounted over them: unmount and mount again",
    );
  }
  const asked = lists.flatMap(splitOptionList).filter((option) => option !== "remount");
  const fixed = asked.find((option) => !changeable.test(option));
  if (fixed !== undefined && asHelper !== true) {
    throw new UsageError(`remount cannot change ${shown(fixed)}: unmount and mount again`);
  }
  const mount = topMountOn(mountpoint);
  if (mount?.type !== fileSystemType) {
    throw new CommandError(`${shown(mountpoint)} is not a mount of cowfs: see cowfs mounts`);
  }
  const options = defaultMountOptions(true);
  // The mount and its superblock each have the word: it is read-only if one of them is.
  const kept = [...mount.superOptions.split(","), ...mount.options.split(",")].filter((option) => option !== "rw");
  applyOptionList(options, [...kept, ...asked].filter((option) => changeable.test(option)).join(","));
  if (readOnly !== undefined) options.readOnly = readOnly;
  const state = liveMounts().find((live) => live.minor === mount.minor)?.state;
  if (!options.readOnly && state !== undefined && state.upper === undefined) {
    throw new CommandError(`${shown(mountpoint)} has no upper layer, so it stays read-only: unmount and mount again`);
  }
  const bits = mountFlagBits({ ...options, upper: "" });
  const r = native.mount("none", mountpoint, fileSystemType, MS_REMOUNT | bits, "");
  if (r === -EBUSY)
    throw new CommandError(`${shown(mountpoint)} cannot become read-only: files in it are open for writing`);
  if (r < 0) throw new CommandError(`${shown(mountpoint)} cannot be remounted: ${errnoName(r)}`);
}
