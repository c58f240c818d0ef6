/**
 * `overlay.impure`: an upper directory that says so may hold objects which are copies of lower ones (of another place too), so
 * their inode numbers are not those of the upper. One that does not say so costs nothing more than the question.
 */
import { EOPNOTSUPP, EPERM } from "../errno.js";
import { isNoAttribute, readImpure } from "../layer/marks.js";
import { native } from "../native/index.js";
import { IMPURE, PURE, PURE_UNKNOWN } from "./directory.js";
import { locate, partFd } from "./locate.js";
import { DATA_BELOW } from "./node-table.js";
import type { Union } from "./union.js";

const YES = Uint8Array.of(0x79);
const nothing = new Uint8Array(0);

/** Whether the upper part of a directory may hold copies: 1, 0 (also without an upper part) or -errno. */
export function isImpure(u: Union, node: number): number {
  const upper = u.table.directory(node)?.upper;
  if (!upper) return 0;
  if (upper.purity === PURE_UNKNOWN) {
    const fd = partFd(u, node, upper);
    const impure = fd < 0 ? fd : readImpure(fd, "");
    if (impure < 0) return impure;
    upper.purity = impure === 1 ? IMPURE : PURE;
  }
  return upper.purity === IMPURE ? 1 : 0;
}

/** Before a copy appears in the upper part of a directory: 0 or -errno. */
export function setImpure(u: Union, node: number): number {
  const upper = u.table.directory(node)?.upper;
  if (!upper || upper.purity === IMPURE) return 0;
  const fd = partFd(u, node, upper);
  if (fd < 0) return fd;
  const r = native.setxattr(fd, "", u.work.names.impure, YES, 0);
  // Where the mark is refused, so are the origins that it tells of.
  if (r < 0 && r !== -EOPNOTSUPP && r !== -EPERM) return r;
  upper.purity = IMPURE;
  return 0;
}

/** The same before an object, which lies in the upper, moves or is linked to another directory. */
export function setImpureFor(u: Union, node: number, into: number): number {
  const { table } = u;
  const copied =
    table.directory(node)?.hasLower === true ||
    table.data(node) === DATA_BELOW ||
    table.protection(node) !== 0 ||
    u.inodes.isClaimed(node, table.inoLow(node), table.inoHigh(node));
  if (copied) return setImpure(u, into);
  // A copy whose number another row shows at the moment may show it later. One getxattr(2), for what lies among copies.
  const among = isImpure(u, table.parent(node));
  if (among <= 0) return among;
  const r = locate(u, node);
  if (r < 0) return r;
  const origin = native.getxattr(u.atFd, u.atName, u.work.names.origin, nothing);
  if (origin < 0) return isNoAttribute(origin) ? 0 : origin;
  return setImpure(u, into);
}
