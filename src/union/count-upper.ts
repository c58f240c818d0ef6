/** What the upper holds when it is mounted with a limit that the driver keeps: each object is looked at once. */
import { ignore, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, DT_REG, DT_UNKNOWN, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import type { Quota } from "./quota.js";

const stat = new Stat();

/** Counts what is below the directory `fd`, no mount in it: 0 or -errno. A listing for each directory, a statx(2) for each regular file. */
export function countTree(quota: Quota, fd: number): number {
  const r = native.statx(fd, "", STATX_ALL, stat.bytes);
  return r < 0 ? r : countBelow(quota, fd, stat.devMajor, stat.devMinor);
}

function countBelow(quota: Quota, fd: number, major: number, minor: number): number {
  const directories: string[] = [];
  const others: string[] = [];
  let r = readListing(fd, {
    entry: (name, type) => {
      if (type === DT_DIR) directories.push(name);
      else if (type === DT_REG || type === DT_UNKNOWN) others.push(name);
    },
  });
  if (r < 0) return r;
  for (const name of others) {
    r = native.statx(fd, name, STATX_ALL, stat.bytes);
    if (r < 0) return r;
    if (stat.isRegular) quota.count(stat);
    else if (stat.isDirectory) directories.push(name);
  }
  for (const name of directories) {
    const child = native.open(fd, name, O_PATH | O_DIRECTORY, 0);
    if (isAbsent(child)) continue;
    r = child < 0 ? child : native.statx(child, "", STATX_ALL, stat.bytes);
    if (r === 0 && stat.devMajor === major && stat.devMinor === minor) {
      quota.addDirectories(1);
      r = countBelow(quota, child, major, minor);
    }
    if (child >= 0) ignore(native.close(child), "an O_PATH descriptor");
    if (r < 0) return r;
  }
  return 0;
}
