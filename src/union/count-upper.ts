/** What the upper holds when it is mounted with a limit that the driver keeps: each object is looked at once. */
import { ignore, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { openBelow } from "../layer/long-path.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, DT_LNK, DT_REG, DT_UNKNOWN, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import type { Quota } from "./quota.js";

const stat = new Stat();

/**
 * Counts what is below the directory `root`, however deep, no mount in it: 0 or -errno. A listing for each directory, a statx(2) for
 * each regular file and symbolic link.
 */
export function countTree(quota: Quota, root: number): number {
  let r = native.statx(root, "", STATX_ALL, stat.bytes);
  if (r < 0) return r;
  const { devMajor, devMinor } = stat;
  const pending: string[] = [];
  r = countDirectory(quota, root, "", pending);
  for (let path = pending.pop(); r === 0 && path !== undefined; path = pending.pop()) {
    const fd = openBelow(root, path, O_PATH | O_DIRECTORY);
    if (isAbsent(fd)) continue;
    r = fd < 0 ? fd : native.statx(fd, "", STATX_ALL, stat.bytes);
    if (r === 0 && stat.devMajor === devMajor && stat.devMinor === devMinor) {
      quota.addDirectories(1);
      r = countDirectory(quota, fd, `${path}/`, pending);
    }
    if (fd >= 0) ignore(native.close(fd), "an O_PATH descriptor");
  }
  return r;
}

/** Counts the objects of one directory; of those that are directories themselves, adds the paths to `pending`. 0 or -errno. */
function countDirectory(quota: Quota, fd: number, prefix: string, pending: string[]): number {
  const others: string[] = [];
  let r = readListing(fd, {
    entry: (name, type) => {
      if (type === DT_DIR) pending.push(prefix + name);
      else if (type === DT_REG || type === DT_LNK || type === DT_UNKNOWN) others.push(name);
    },
  });
  for (const name of others) {
    if (r < 0) return r;
    r = native.statx(fd, name, STATX_ALL, stat.bytes);
    if (r < 0) return r;
    // Of a type that the listing did not tell.
    if (stat.isDirectory) pending.push(prefix + name);
    else quota.count(stat, fd, name);
  }
  return Math.min(r, 0);
}
