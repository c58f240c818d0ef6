/** Ranges of user or group ids that lie under other numbers on the disk than users see (`uidmapping=`, `gidmapping=`). */
import { EOVERFLOW } from "../errno.js";

/** `length` ids from `onDisk` on are shown as those from `shown` on. */
export interface IdRange {
  readonly onDisk: number;
  readonly shown: number;
  readonly length: number;
}

/** What the kernel shows for an id that has no counterpart (/proc/sys/kernel/overflowuid). */
export const OVERFLOW_ID = 65534;

/** Translates ids between disk and users. No two ranges overlap on either side; the command line sees to it. */
export class IdMap {
  constructor(private readonly ranges: readonly IdRange[]) {}

  /** The id users see, or OVERFLOW_ID. */
  show(id: number): number {
    for (const { onDisk, shown, length } of this.ranges) {
      if (id >= onDisk && id - onDisk < length) return shown + (id - onDisk);
    }
    return OVERFLOW_ID;
  }

  /** Whether users see the id under a number of its own. */
  shows(id: number): boolean {
    return this.ranges.some(({ onDisk, length }) => id >= onDisk && id - onDisk < length);
  }

  /** The id on the disk, or -EOVERFLOW, which is what an idmapped mount of the kernel says to creation and chown. */
  store(id: number): number {
    for (const { onDisk, shown, length } of this.ranges) {
      if (id >= shown && id - shown < length) return onDisk + (id - shown);
    }
    return -EOVERFLOW;
  }
}
