import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoName } from "../../errno.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { AT_FDCWD, O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { copyAttributes, copyTree } from "../../store/copy-tree.js";
import { StoreError } from "../../store/error.js";
import { bytesOf } from "../../text.js";
import { syncTree } from "./base-trees.js";
import { needsRoot, treeDriver } from "./tree-format.js";

/**
 * A file beside the tree of a container, made before anything was copied, and changed when all had been. It holds its own inode number: in a copy of
 * the data root, where all change times are those of that copying, another one has it.
 */
const stampName = "copied";

function numberOf(stat: Stat): string {
  return `${stat.inoHigh}:${stat.inoLow}\n`;
}

function makeStamp(path: string): void {
  writeFileSync(path, "", { mode: 0o600 });
  writeFileSync(path, numberOf(lookAt(path)));
}

function lookAt(path: string): Stat {
  const stat = new Stat();
  const found = native.statx(AT_FDCWD, bytesOf(path), STATX_ALL, stat.bytes);
  if (found < 0) throw new StoreError(`${path} cannot be looked at: ${errnoName(found)}`);
  return stat;
}

function open(path: string): number {
  const fd = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
  if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
  return fd;
}

/** Whole copies, by any file system; where files can share blocks (reflinks of xfs, btrfs and others), they take next to no space. */
export const vfsDriver = treeDriver({
  name: "vfs",
  chained: false,

  async lacking() {
    return process.geteuid?.() === 0 ? undefined : needsRoot;
  },

  create: (path) => mkdirSync(path, { mode: 0o700 }),

  async copy(from, to) {
    const stamp = join(dirname(to), stampName);
    makeStamp(stamp);
    mkdirSync(to, { mode: 0o700 });
    const source = open(from);
    try {
      const target = open(to);
      try {
        await copyTree(source, target);
        copyAttributes(source, target);
      } finally {
        native.close(target);
      }
    } finally {
      native.close(source);
    }
    chmodSync(stamp, 0o400);
    syncTree(to);
  },

  seal: () => {},

  /**
   * Whatever changes an object sets its change time, which no program can choose, unlike all other times: it lies between those of the stamp if the copy
   * was the last to change it. What was changed while the clock stood before that was not copied then.
   */
  untouched(directory) {
    const path = join(directory, stampName);
    const stamp = lookAt(path);
    if (readFileSync(path, "latin1") !== numberOf(stamp)) return () => false;
    const { mtime, mtimeNsec, ctime, ctimeNsec } = stamp;
    return (now) =>
      (now.ctime > mtime || (now.ctime === mtime && now.ctimeNsec >= mtimeNsec)) &&
      (now.ctime < ctime || (now.ctime === ctime && now.ctimeNsec < ctimeNsec));
  },
});
