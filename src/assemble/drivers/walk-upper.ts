import { errnoName } from "../../errno.js";
import { type EntrySink, readListing } from "../../layer/listing.js";
import { openBelow } from "../../layer/long-path.js";
import { DT_DIR, O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../../store/error.js";
import { isGone } from "../../store/tree-size.js";
import { shown } from "../../text.js";
import { openTree } from "./tree-changes.js";

/** Looks at an object of the directory `fd`. Returns a result of the kernel's: a failure is an error, unless the object has gone. */
export type Visit = (fd: number, name: string) => number;

/**
 * Shows `visit` what an upper has: of the directories what `isWanted` says of name and type (DT_*). The upper may be in use. One listing for each
 * directory. Throws StoreError.
 */
export function walkUpper(upper: string, isWanted: (name: string, type: number) => boolean, visit: Visit): void {
  const root = openTree(upper);
  try {
    const pending = [""];
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      const at = path;
      const fd = openBelow(root, at, O_PATH | O_DIRECTORY);
      if (isGone(fd)) continue;
      check(fd, at);
      try {
        const wanted: string[] = [];
        const sink: EntrySink = {
          entry(name, type) {
            if (type === DT_DIR) pending.push(at === "" ? name : `${at}/${name}`);
            if (isWanted(name, type)) wanted.push(name);
          },
        };
        check(readListing(fd, sink), at);
        for (const name of wanted) check(visit(fd, name), `${at}/${name}`);
      } finally {
        native.close(fd);
      }
    }
  } finally {
    native.close(root);
  }
}

function check(result: number, path: string): void {
  if (result >= 0 || isGone(result)) return;
  throw new StoreError(`${shown(path)} in a writable layer cannot be read: ${errnoName(result)}`);
}
