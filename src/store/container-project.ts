/** The project id by whose quota a container's writable layer is limited (`layer/project-quota.ts`). */
import { ignore } from "../errno.js";
import { limitingProject, releaseLimit } from "../layer/project-quota.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { bytesOf } from "../text.js";

/** The id that an upper has; 0 for none, or where there is no upper. */
export function projectOf(upper: string): number {
  return Math.max(0, at(upper, limitingProject));
}

/** Before the upper of a container is removed: its id, which others may get as soon as its files are gone, has no limit any more. */
export function forgetLimit(upper: string): void {
  ignore(at(upper, releaseLimit), "whoever gets the id sets a limit of his own");
}

function at(path: string, action: (fd: number) => number): number {
  const fd = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
  if (fd < 0) return fd;
  const result = action(fd);
  ignore(native.close(fd), "an O_PATH descriptor");
  return result;
}
