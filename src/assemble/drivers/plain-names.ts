import { trustedNames } from "../../layer/mark-names.js";
import { looksLikeMark, readPlain, WHITEOUT_PREFIX } from "../../layer/marks.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { native } from "../../native/index.js";
import { walkUpper } from "./walk-upper.js";

const stat = new Stat();
const yes = Buffer.from("y");

/**
 * Says of everything in an upper whose name begins with `.wh.` that it is what it looks like: overlayfs, which wrote it, knows no marks by name, so it
 * is a file that somebody made. Throws StoreError.
 */
export function markPlain(upper: string): void {
  walkUpper(upper, (name) => name.startsWith(WHITEOUT_PREFIX), mark);
}

function mark(fd: number, name: string): number {
  const found = native.statx(fd, name, STATX_ALL, stat.bytes);
  // A device is the whiteout of such a name.
  if (found < 0 || stat.isWhiteoutDevice || !looksLikeMark(name, stat.isRegular)) return found;
  const plain = readPlain(fd, name);
  return plain === 0 ? native.setxattr(fd, name, trustedNames.plain, yes, 0) : plain;
}
