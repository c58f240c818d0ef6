/**
 * The merged root, which a union starts from.
 */
import { errnoName } from "../errno.js";
import type { Layer } from "../layer/layer.js";
import { hasOpaqueMarker, readMarks } from "../layer/marks.js";
import { STATX_ALL } from "../layer/stat.js";
import { DT_DIR } from "../native/constants.js";
import { native } from "../native/index.js";
import { Directory, newPart, type Part } from "./directory.js";
import { MountError } from "./mount-error.js";
import { ROOT } from "./node-table.js";
import { shown } from "./paths.js";
import { findProtattr, noteAttributes } from "./protection.js";
import type { Union } from "./union.js";

const rootMarks = { opaque: false, xattrWhiteouts: false, redirect: null, byUser: false };

/**
 * Enters the merged root; returns the index of the lowest layer that shows. As overlayfs does, a layer's root is not taken
 * for opaque by its attribute (the layer may be a part of another one's tree), but by the marker file of OCI layers.
 */
export function openRoot(u: Union, layers: readonly (Layer | null)[]): number {
  const parts: Part[] = [];
  for (const layer of layers) {
    if (layer === null) continue;
    // The order of the layers numbers their file systems, whatever is looked up first.
    if (native.statx(layer.root, "", STATX_ALL, u.stat.bytes) === 0) u.inodes.addFileSystem(u.stat);
    const part = newPart(layer.index, "");
    // The root's descriptors belong to the layers: they are never evicted.
    part.fd = layer.root;
    parts.push(part);
    const marker = hasOpaqueMarker(layer.root, "");
    const read = marker < 0 ? marker : readMarks(layer.root, "", true, rootMarks);
    if (read < 0)
      throw new MountError(`cannot read the root of layer ${shown(layer.path)}: ${errnoName(read)}`, layer.path);
    part.xattrWhiteouts = rootMarks.xattrWhiteouts;
    if (marker === 1) break;
  }
  const directory = new Directory(parts);
  u.table.addRoot(DT_DIR, directory.top.layer);
  u.table.setDirectory(ROOT, directory);
  const r = native.statx(directory.top.fd, "", STATX_ALL, u.stat.bytes);
  if (r < 0) throw new Error(`cannot read the attributes of the topmost layer: ${errnoName(r)}`);
  u.inodes.show(u.stat);
  u.table.setIno(ROOT, u.inodes.low, u.inodes.high);
  noteAttributes(u, ROOT, u.stat);
  const marked = layers[0] ? findProtattr(u, ROOT, layers[0].root, "") : 0;
  if (marked < 0) throw new Error(`cannot read the attributes of the topmost layer: ${errnoName(marked)}`);
  return (parts.at(-1) as Part).layer;
}

/** Where owners are stored, the upper's root says so: other programs take that for a property of the layer. */
export function markRoot(u: Union): void {
  const upper = u.readOnly ? null : u.layers[0];
  const r = upper ? (u.ownership?.stored?.markRoot(upper.root) ?? 0) : 0;
  if (r < 0 && upper) {
    const why = errnoName(r);
    throw new MountError(`xattr_permissions: the upper ${shown(upper.path)} cannot store owners: ${why}`, upper.path);
  }
}
