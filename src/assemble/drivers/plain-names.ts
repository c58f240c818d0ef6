import { errnoName } from "../../errno.js";
import { type EntrySink, readListing } from "../../layer/listing.js";
import { openBelow } from "../../layer/long-path.js";
import { trustedNames } from "../../layer/mark-names.js";
import { looksLikeMark, readPlain, WHITEOUT_PREFIX } from "../../layer/marks.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { DT_DIR, O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../../store/error.js";
import { isGone } from "../../store/tree-size.js";
import { shown } from "../../text.js";
import { openTree } from "./tree-changes.js";

const stat = new Stat();

/**
 * Says of everything in an upper whose name begins with `.wh.` that it is what it looks like: overlayfs, which wrote it, knows no marks by name, so it
 * is a file that somebody made. The upper may be in use. One listing for each directory. Throws StoreError.
 */
export function markPlain(upper: string): void {
  const root = openTree(upper);
  try {
    const pending = [""];
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      const at = path;
      const fd = openBelow(root, at, O_PATH | O_DIRECTORY);
      if (isGone(fd)) continue;
      check(fd, at);
      try {
        for (const name of markIn(fd, at)) pending.push(at === "" ? name : `${at}/${name}`);
      } finally {
        native.close(fd);
      }
    }
  } finally {
    native.close(root);
  }
}

/** Marks what is right in a directory. Returns the names of its directories. */
function markIn(fd: number, path: string): string[] {
  const directories: string[] = [];
  const suspects: string[] = [];
  const sink: EntrySink = {
    entry(name, type) {
      if (type === DT_DIR) directories.push(name);
      if (name.startsWith(WHITEOUT_PREFIX)) suspects.push(name);
    },
  };
  const listed = readListing(fd, sink);
  if (!isGone(listed)) check(listed, path);
  for (const name of suspects) {
    const full = `${path}/${name}`;
    const found = native.statx(fd, name, STATX_ALL, stat.bytes);
    if (isGone(found)) continue;
    check(found, full);
    // A device is the whiteout of such a name.
    if (stat.isWhiteoutDevice || !looksLikeMark(name, stat.isRegular) || readPlain(fd, name) === 1) continue;
    const marked = native.setxattr(fd, name, trustedNames.plain, yes, 0);
    if (!isGone(marked)) check(marked, full);
  }
  return directories;
}

const yes = Buffer.from("y");

function check(result: number, path: string): void {
  if (result < 0) throw new StoreError(`${shown(path)} in a writable layer cannot be read: ${errnoName(result)}`);
}
