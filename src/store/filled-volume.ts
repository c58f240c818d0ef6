/** Whether a volume is still as the command has left it that filled it. */

import { readListing } from "../layer/listing.js";
import { openBelow } from "../layer/long-path.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_FDCWD, DT_DIR, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { bytesOf } from "../text.js";

/** The change time of a volume's directory when it had just been filled: that of nothing in it is later. */
export interface LastChange {
  readonly seconds: number;
  readonly nsec: number;
}

/** The volumes that a command has filled, by name. */
export type FilledVolumes = Map<string, LastChange>;

const stat = new Stat();

/** To be asked when a volume has just been filled. */
export function lastChange(data: string): LastChange {
  const failed = native.statx(AT_FDCWD, bytesOf(data), STATX_ALL, stat.bytes) < 0;
  // Then anything is taken for a later change.
  return failed ? { seconds: 0, nsec: 0 } : { seconds: stat.ctime, nsec: stat.ctimeNsec };
}

/** Whether anything in the tree was changed, added or removed since, or cannot be looked at. */
export function changedSince(data: string, { seconds, nsec }: LastChange): boolean {
  const isLater = (): boolean => stat.ctime > seconds || (stat.ctime === seconds && stat.ctimeNsec > nsec);
  const differs = (fd: number, name: string): boolean => native.statx(fd, name, STATX_ALL, stat.bytes) < 0 || isLater();
  const root = native.openFollow(bytesOf(data), O_PATH | O_DIRECTORY);
  if (root < 0) return true;
  try {
    const pending = [""];
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      const at = path;
      const fd = openBelow(root, at, O_PATH | O_DIRECTORY);
      if (fd < 0) return true;
      try {
        const names: string[] = [];
        const listed = readListing(fd, {
          entry: (name, type) => {
            if (type === DT_DIR) pending.push(at === "" ? name : `${at}/${name}`);
            names.push(name);
          },
        });
        if (listed < 0 || differs(fd, "") || names.some((name) => differs(fd, name))) return true;
      } finally {
        native.close(fd);
      }
    }
    return false;
  } finally {
    native.close(root);
  }
}
