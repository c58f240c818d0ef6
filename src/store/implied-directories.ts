/**
 * Directories that a layer has only because something is in them, and about which its archive says nothing. In a union such a directory would cover that of the
 * layers below, with attributes that nobody gave it; so it takes theirs. Which these are depends on the image: a layer that several images have takes those of the
 * first one.
 */
import { ENOENT, errnoName } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { quote } from "./archive/layer-names.js";
import { readAttributes } from "./archive/quick-manifest.js";
import { StoreError } from "./error.js";

const stat = new Stat();

/** Gives the directories `implied` (paths in the tree, bytes) what the topmost of `lowers` that has them says. Throws StoreError. */
export function adoptDirectories(tree: string, implied: readonly string[], lowers: readonly string[]): void {
  const opened: number[] = [];
  const open = (path: string): number => {
    const fd = native.openFollow(Buffer.from(path, "utf8").toString("latin1"), O_PATH | O_DIRECTORY);
    if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
    opened.push(fd);
    return fd;
  };
  try {
    const root = open(tree);
    const roots = lowers.map(open);
    for (const path of implied) {
      for (const lower of roots) {
        const found = native.openBeneath(lower, path, O_PATH | O_DIRECTORY);
        if (found === -ENOENT) continue;
        // Anything but a directory hides what lies below it.
        if (found >= 0) copyAttributes(found, root, path);
        break;
      }
    }
    // The attributes are to be on the disk when the layer appears.
    const synced = implied.length > 0 && roots.length > 0 ? syncTree(root) : 0;
    if (synced < 0) throw new StoreError(`a layer cannot be brought to the disk: ${errnoName(synced)}`);
  } finally {
    for (const fd of opened) native.close(fd);
  }
}

function syncTree(root: number): number {
  const fd = native.reopen(root, O_DIRECTORY);
  if (fd < 0) return fd;
  const synced = native.syncfs(fd);
  native.close(fd);
  return synced;
}

/** Takes over everything of the directory `from`, which it closes, to `path` of a tree. */
function copyAttributes(from: number, root: number, path: string): void {
  const fd = native.openBeneath(root, path, O_PATH | O_DIRECTORY);
  const check = (result: number): void => {
    if (result < 0)
      throw new StoreError(`${quote(path)} of a layer cannot be given its attributes: ${errnoName(result)}`);
  };
  try {
    check(fd);
    check(native.statx(from, "", STATX_ALL, stat.bytes));
    check(native.chown(fd, "", stat.uid, stat.gid));
    const attributes = readAttributes(from, "");
    if (typeof attributes === "number") check(attributes);
    else {
      for (const [name, value] of attributes ?? [])
        check(native.setxattr(fd, "", name, Buffer.from(value, "latin1"), 0));
    }
    check(native.chmod(fd, "", stat.mode & 0o7777));
    check(native.utimens(fd, "", stat.mtime, stat.mtimeNsec, stat.mtime, stat.mtimeNsec));
  } finally {
    native.close(from);
    if (fd >= 0) native.close(fd);
  }
}
