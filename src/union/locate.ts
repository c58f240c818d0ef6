/**
 * Where things are: from a nodeid to the descriptor, the path and the name of the backing object.
 */
import { ENAMETOOLONG, ENOENT, ENOTDIR, ESTALE } from "../errno.js";
import type { Layer } from "../layer/layer.js";
import { openListing } from "../layer/listing.js";
import { STATX_ALL, type Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import type { Directory, Part } from "./directory.js";
import { ROOT } from "./node-table.js";
import type { Union } from "./union.js";

/** The directory behind a nodeid that the kernel named as a parent; -errno for a file, a stale id, a removed one. */
export function parentOf(u: Union, node: number): Directory | number {
  if (!u.table.isAlive(node)) return -ESTALE;
  const directory = u.table.directory(node);
  if (directory === undefined) return -ENOTDIR;
  return u.table.isNameless(node) && node !== ROOT ? -ENOENT : directory;
}

/** O_PATH descriptor of a directory's part, from the cache: valid until many others were asked for. Or -errno. */
export function partFd(u: Union, node: number, part: Part): number {
  if (part.fd >= 0) {
    if (node !== ROOT) u.descriptors.touch(part.fd);
    return part.fd;
  }
  let fd = openPart(u, node, part);
  if (fd < 0 && u.descriptors.makeRoom(fd)) fd = openPart(u, node, part);
  if (fd >= 0) holdPart(u, node, part, fd);
  return fd;
}

/** Gives a directory's part, which has none, its descriptor: into the cache. */
export function holdPart(u: Union, node: number, part: Part, fd: number): void {
  part.fd = fd;
  u.descriptors.keep(fd, node, part.layer);
}

/**
 * Opens this one directory only, by its path from the nearest one above that is open: a descriptor for each on the way could
 * push out of the cache the one that an operation holds beside it.
 */
function openPart(u: Union, node: number, part: Part): number {
  const { table } = u;
  const { root } = u.layers[part.layer] as Layer;
  if (part.path !== null) return native.openBeneath(root, part.path, O_PATH | O_DIRECTORY);
  const parent = table.parent(node);
  const direct = table.directory(parent)?.partIn(part.layer) ?? null;
  if (direct === null) return -ESTALE;
  let path = table.name(node);
  let at = parent;
  let above: Part | null = direct;
  while (above !== null && above.fd < 0 && above.path === null) {
    path = `${table.name(at)}/${path}`;
    at = table.parent(at);
    above = table.directory(at)?.partIn(part.layer) ?? null;
  }
  if (above === null) return -ESTALE;
  let r: number;
  if (above === direct && above.fd >= 0) r = native.open(partFd(u, parent, direct), path, O_PATH | O_DIRECTORY, 0);
  else if (above.fd >= 0) r = native.openBeneath(partFd(u, at, above), path, O_PATH | O_DIRECTORY);
  else r = native.openBeneath(root, `${above.path}/${path}`, O_PATH | O_DIRECTORY);
  if (r !== -ENAMETOOLONG) return r;
  // Too deep for one path: in two steps.
  const parentFd = partFd(u, parent, direct);
  return parentFd < 0 ? parentFd : native.open(parentFd, table.name(node), O_PATH | O_DIRECTORY, 0);
}

/**
 * A descriptor to read a directory's part with, which is the caller's to close; or -errno. A part that has no O_PATH descriptor needs
 * none for that.
 */
export function openPartListing(u: Union, node: number, part: Part): number {
  const direct = part.fd < 0 && part.path === null ? u.table.directory(u.table.parent(node))?.partIn(part.layer) : null;
  if (direct) return openListingIn(u, partFd(u, u.table.parent(node), direct), u.table.name(node));
  return openListingIn(u, partFd(u, node, part), ".");
}

/** Opens the directory `name` in the directory `fd`, if that is none -errno, to be read: a descriptor or -errno. */
export function openListingIn(u: Union, fd: number, name: string): number {
  if (fd < 0) return fd;
  const r = openListing(fd, name);
  return r < 0 && u.descriptors.makeRoom(r) ? openListing(fd, name) : r;
}

/** Descriptor of the upper part of a directory that has one. */
export function upperFd(u: Union, node: number): number {
  const upper = u.table.directory(node)?.upper;
  return upper ? partFd(u, node, upper) : -ENOENT;
}

/** Path of a directory's part from its layer's root, "" for the root itself. */
export function partPath(u: Union, node: number, part: Part): string {
  let path = "";
  for (let at = node, of: Part | null = part; of !== null; ) {
    if (of.path !== null) return join(of.path, path);
    if (at === ROOT) return path;
    path = join(u.table.name(at), path);
    at = u.table.parent(at);
    of = u.table.directory(at)?.partIn(of.layer) ?? null;
  }
  return path;
}

function join(above: string, below: string): string {
  return above === "" ? below : below === "" ? above : `${above}/${below}`;
}

/** Where the layers below the upper know a directory: an absolute path, as overlay.redirect holds it. */
export function pathBelow(u: Union, node: number): string {
  let path = "";
  for (let at = node; at !== ROOT; at = u.table.parent(at)) {
    // Callers have made sure that it has a name; without one this would not end.
    if (at < ROOT) throw new Error("a directory without a name has no path");
    const redirect = u.table.directory(at)?.redirect ?? null;
    if (redirect !== null) return redirect + path;
    path = `/${u.table.name(at)}${path}`;
  }
  return path;
}

/** Sets `atFd` and `atName` to the backing object of a node: 0 or -errno. */
export function locate(u: Union, node: number): number {
  const table = u.table;
  if (!table.isAlive(node)) return -ESTALE;
  const directory = table.directory(node);
  u.atName = "";
  if (table.isNameless(node) && node !== ROOT) {
    u.atFd = table.descriptor(node);
    return u.atFd < 0 ? -ESTALE : 0;
  }
  if (directory !== undefined) {
    u.atFd = partFd(u, node, directory.top);
    return Math.min(u.atFd, 0);
  }
  const entry = u.index?.of(node);
  if (entry !== undefined) {
    u.atFd = u.index?.directory ?? -1;
    u.atName = entry.name;
    return 0;
  }
  const parent = table.parent(node);
  const part = table.directory(parent)?.partIn(table.layer(node));
  if (part === undefined || part === null) return -ESTALE;
  u.atFd = partFd(u, parent, part);
  u.atName = table.name(node);
  return Math.min(u.atFd, 0);
}

/** Reads the attributes of a node's backing object as its layer has them into `stat`: 0 or -errno. */
export function statBacking(u: Union, node: number, stat: Stat): number {
  const r = locate(u, node);
  return r < 0 ? r : native.statx(u.atFd, u.atName, STATX_ALL, stat.bytes);
}
