import { mkdirSync, openSync, rmdirSync } from "node:fs";
import { mayMount } from "../native/process.js";
import { shown } from "../text.js";
import { workingDirectory } from "./arguments.js";
import { CommandError, complain, print, systemReason } from "./exit.js";
import { splitOptionList } from "./mount-options.js";
import { type MountPlan, type MountWords, planMount } from "./mount-plan.js";

/**
 * `cowfs mount`: mounts, and returns once the mount answers; with --foreground, or when the launcher has made this process for it,
 * once it has ended. `cover` mounts over it, which its driver could not wait for: then another process is the driver. Returns the exit code.
 */
export async function mountCommand(
  words: MountWords,
  isLaunched: boolean,
  cover?: (mountpoint: string) => Promise<void>,
): Promise<number> {
  if (words.options.some((list) => splitOptionList(list).includes("remount"))) {
    const { remount } = await import("./remount.js");
    remount(words, workingDirectory());
    return 0;
  }
  const plan = planMount(words, workingDirectory(), process.geteuid?.() === 0);
  // Said before anything is created. fuse-native has a helper that is set-user-id root.
  if (plan.config.transport === "kernel" && !mayMount()) {
    const path = shown(plan.config.mountpoint);
    throw new CommandError(
      `${path}: no permission to mount: run as root, or in a namespace of your own (unshare -Urm)`,
    );
  }
  const created = plan.impliedMountpoint && makeMountpoint(plan.config.mountpoint);
  try {
    if (cover === undefined && (plan.foreground || isLaunched)) return await serveHere(plan);
    const { startDriver } = await import("./daemon.js");
    for (const warning of await startDriver(plan)) complain(warning);
    if (cover !== undefined) await coverOrUnmount(plan.config.mountpoint, cover);
    announce(plan);
    return 0;
  } catch (error) {
    if (created) removeMountpoint(plan.config.mountpoint);
    throw error;
  }
}

async function coverOrUnmount(mountpoint: string, cover: (mountpoint: string) => Promise<void>): Promise<void> {
  try {
    await cover(mountpoint);
  } catch (error) {
    const { umountCommand } = await import("./umount.js");
    const { undoAfter } = await import("../store/error.js");
    await undoAfter(error, async () => void (await umountCommand(mountpoint, false)));
  }
}

async function serveHere(plan: MountPlan): Promise<number> {
  const { becomeDaemon, loggerOf, serve } = await import("./driver.js");
  const logger = await loggerOf(plan);
  let code: number;
  try {
    const nothing = plan.foreground ? -1 : openNothing();
    code = await serve(plan, logger, (warnings) => {
      // Otherwise stderr is the log, and has them.
      if (plan.log !== undefined || !plan.foreground) for (const warning of warnings) complain(warning);
      announce(plan);
      if (!plan.foreground) becomeDaemon(plan, logger, nothing);
    });
  } catch (error) {
    logger.log("error", "the driver failed", { stack: error instanceof Error ? error.stack : String(error) });
    throw error;
  } finally {
    logger.flush();
  }
  // What still runs in a driver, of fuse-native say, has nothing left to do.
  if (!plan.foreground) process.exit(code);
  return code;
}

/** What takes the place of the standard descriptors. Throws CommandError. */
function openNothing(): number {
  try {
    return openSync("/dev/null", "r+");
  } catch (cause) {
    throw new CommandError(`/dev/null cannot be opened: ${systemReason(cause)}; make it, or mount with --foreground`, {
      cause,
    });
  }
}

/** Says where the union is if the user cannot know. */
function announce(plan: MountPlan): void {
  if (plan.impliedMountpoint) print(Buffer.from(`${plan.config.mountpoint}\n`, "latin1"));
}

/** Creates a mountpoint that was not named. Returns whether it was missing. */
function makeMountpoint(path: string): boolean {
  try {
    mkdirSync(Buffer.from(path, "latin1"), 0o755);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw new CommandError(`the mountpoint ${shown(path)} cannot be created: ${systemReason(cause)}; name another`, {
      cause,
    });
  }
}

function removeMountpoint(path: string): void {
  try {
    rmdirSync(Buffer.from(path, "latin1"));
  } catch {
    // Somebody else uses it by now: it is theirs.
  }
}
