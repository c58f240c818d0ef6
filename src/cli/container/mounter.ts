import { bytes } from "../../assemble/root-view.js";
import type { UnionMounter, UnionPlan } from "../../assemble/union.js";
import { errnoName } from "../../errno.js";
import { UMOUNT_NOFOLLOW } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { topMountOn } from "../../native/mountinfo.js";
import { fileSystemType } from "../../session/config.js";
import { startDriver } from "../daemon.js";
import { CommandError, complain } from "../exit.js";
import { planMount } from "../mount-plan.js";
import { umountCommand } from "../umount.js";

function escaped(path: string): string {
  return bytes(path).replace(/[\\:]/g, "\\$&");
}

/** Mounts unions by drivers that are daemons, as `cowfs mount` does. */
export const daemonMounter: UnionMounter = {
  async mount({ lowers, upper, work, mountpoint, size }: UnionPlan): Promise<void> {
    const plan = planMount(
      {
        positionals: [bytes(mountpoint)],
        lower: [lowers.map(escaped).join(":")],
        ...(upper === undefined ? {} : { upper: bytes(upper) }),
        ...(work === undefined ? {} : { work: bytes(work) }),
        options: size === undefined ? [] : [`size=${size}`],
      },
      "/",
      process.geteuid?.() === 0,
    );
    for (const warning of await startDriver(plan)) complain(warning);
  },
  async unmount(mountpoint: string): Promise<void> {
    const path = bytes(mountpoint);
    const top = topMountOn(path);
    if (top === undefined) return;
    if (top.type === fileSystemType) await umountCommand(path, false);
    else {
      // The kernel's own, of another storage driver.
      const result = native.umount(path, UMOUNT_NOFOLLOW);
      if (result < 0) throw new CommandError(`${mountpoint} cannot be unmounted: ${errnoName(result)}`);
    }
  },
};
