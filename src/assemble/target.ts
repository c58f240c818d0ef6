import { EEXIST, EINVAL, ELOOP, isAbsent } from "../errno.js";
import { O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_WRONLY } from "../native/constants.js";
import { native } from "../native/index.js";

/** As the kernel: so many symbolic links are followed in one path. */
const mostLinks = 40;

const link = Buffer.alloc(4096);

/**
 * Opens the target of a mount below a root (an O_PATH descriptor), symbolic links resolved inside the root, and makes what is missing:
 * directories 0755, and an empty file 0644 for the last name if the source is a file. The process's mask of new files should be 0.
 * Returns an O_PATH descriptor, or -errno.
 */
export function openTarget(root: number, target: string, isFile: boolean): number {
  const found = native.openInRoot(root, target, O_PATH);
  return isAbsent(found) ? makeTarget(root, target, isFile) : found;
}

function componentsOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** Goes name by name. A link that leads to nothing leads to what is made: its target takes its place in the path. */
function makeTarget(root: number, target: string, isFile: boolean): number {
  let prefix = "";
  let links = 0;
  const pending = componentsOf(target);
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    const path = `${prefix}/${name}`;
    const found = native.openInRoot(root, path, O_PATH);
    if (found >= 0) {
      native.close(found);
      prefix = path;
      continue;
    }
    if (!isAbsent(found)) return found;
    const parent = native.openInRoot(root, prefix || "/", O_PATH | O_DIRECTORY);
    if (parent < 0) return parent;
    const made = makeEntry(parent, name, isFile && pending.length === 0);
    const length = made === -EEXIST ? native.readlink(parent, name, link) : -1;
    native.close(parent);
    if (made === 0) prefix = path;
    else if (made !== -EEXIST) return made;
    else if (length === -EINVAL)
      pending.unshift(name); // it is no link: somebody else has made it just now
    else if (length < 0) return length;
    else if (++links > mostLinks) return -ELOOP;
    else {
      const where = link.latin1Slice(0, length);
      if (where.startsWith("/")) prefix = "";
      pending.unshift(...componentsOf(where));
    }
  }
  return native.openInRoot(root, prefix || "/", O_PATH);
}

function makeEntry(parent: number, name: string, isFile: boolean): number {
  if (!isFile) return native.mkdirAs(parent, name, 0o755, 0, 0);
  const file = native.openAs(parent, name, O_CREAT | O_EXCL | O_WRONLY, 0o644, 0, 0);
  return file < 0 ? file : native.close(file);
}
