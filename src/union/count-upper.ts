/** What the upper holds when it is mounted with a limit that the driver keeps: each object is looked at once. */
import { ignore, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { openBelow } from "../layer/long-path.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, DT_LNK, DT_REG, DT_UNKNOWN, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import type { Quota } from "./quota.js";

const stat = new Stat();

/** A directory below the root; null stands for that. */
interface Place {
  readonly above: Place | null;
  readonly name: string;
}

/**
 * Counts what is below the directory `root`, however deep, no mount in it: 0 or -errno. A listing for each directory and one of its attributes, a statx(2)
 * for each regular file and symbolic link.
 */
export function countTree(quota: Quota, root: number): number {
  let r = native.statx(root, "", STATX_ALL, stat.bytes);
  if (r < 0) return r;
  const { devMajor, devMinor } = stat;
  quota.count(stat, root, "");
  const pending: Place[] = [];
  r = countDirectory(quota, root, null, pending);
  // The directory that was counted last, whose own come next.
  let at: Place | null = null;
  let atFd = root;
  for (let place = pending.pop(); r === 0 && place !== undefined; place = pending.pop()) {
    const fd =
      place.above === at
        ? native.open(atFd, place.name, O_PATH | O_DIRECTORY, 0)
        : openBelow(root, pathOf(place), O_PATH | O_DIRECTORY);
    if (isAbsent(fd)) continue;
    r = fd < 0 ? fd : native.statx(fd, "", STATX_ALL, stat.bytes);
    if (r === 0 && stat.devMajor === devMajor && stat.devMinor === devMinor) {
      quota.addDirectories(1);
      quota.count(stat, fd, "");
      r = countDirectory(quota, fd, place, pending);
    }
    if (fd < 0) continue;
    if (atFd !== root) ignore(native.close(atFd), "an O_PATH descriptor");
    at = place;
    atFd = fd;
  }
  if (atFd !== root) ignore(native.close(atFd), "an O_PATH descriptor");
  return r;
}

function pathOf(place: Place): string {
  const names: string[] = [];
  for (let at: Place | null = place; at !== null; at = at.above) names.push(at.name);
  return names.reverse().join("/");
}

/** Counts the objects of one directory; those that are directories themselves are added to `pending`. 0 or -errno. */
function countDirectory(quota: Quota, fd: number, above: Place | null, pending: Place[]): number {
  const others: string[] = [];
  let r = readListing(fd, {
    entry: (name, type) => {
      if (type === DT_DIR) pending.push({ above, name });
      else if (type === DT_REG || type === DT_LNK || type === DT_UNKNOWN) others.push(name);
    },
  });
  for (const name of others) {
    if (r < 0) return r;
    r = native.statx(fd, name, STATX_ALL, stat.bytes);
    if (r < 0) return r;
    // Of a type that the listing did not tell.
    if (stat.isDirectory) pending.push({ above, name });
    else quota.count(stat, fd, name);
  }
  return Math.min(r, 0);
}
