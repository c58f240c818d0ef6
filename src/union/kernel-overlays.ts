/** Upper and work directories of kernel overlayfs: it locks them where nobody else can see it, but the table of mounts names them. */
import { errnoName } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_FDCWD } from "../native/constants.js";
import { native } from "../native/index.js";
import { readMounts, unescapeOctal } from "../native/mountinfo.js";
import { MountError } from "./mount-error.js";
import { shown } from "./paths.js";

const ours = new Stat();
const theirs = new Stat();

/**
 * Throws MountError if the directory `fd` is the upper or the work directory of an overlayfs in this mount namespace. One whose paths
 * lead elsewhere by now is not found, nor one of another namespace. Reads the table of mounts, and asks two directories for each overlayfs in it.
 */
export function refuseOverlayfs(fd: number, path: string, what: string): void {
  const r = native.statx(fd, "", STATX_ALL, ours.bytes);
  if (r < 0) throw new MountError(`cannot read the attributes of ${what} ${shown(path)}: ${errnoName(r)}`, path);
  for (const mount of readMounts(" - overlay ")) {
    for (const [, value = ""] of mount.superOptions.matchAll(/(?:^|,)(?:upperdir|workdir)=((?:\\.|[^,\\])*)/g)) {
      const directory = unescapeOctal(value).replace(/\\(.)/g, "$1");
      if (native.statx(AT_FDCWD, directory, STATX_ALL, theirs.bytes) < 0) continue;
      if (
        theirs.inoLow !== ours.inoLow ||
        theirs.inoHigh !== ours.inoHigh ||
        theirs.devMajor !== ours.devMajor ||
        theirs.devMinor !== ours.devMinor
      )
        continue;
      throw new MountError(
        `${what} ${shown(path)} is in use by the overlayfs on ${shown(mount.mountpoint)}: unmount that first, or use another`,
        path,
      );
    }
  }
}
