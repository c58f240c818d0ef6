import { ENAMETOOLONG, isAbsent } from "../../errno.js";
import type { Directory } from "../directory.js";
import { enter } from "../enter.js";
import { parentOf } from "../locate.js";
import { find, NAME_MAX } from "../merge.js";
import { present, statNode } from "../present.js";
import { dropLookup, loseName } from "../rows.js";
import type { Union } from "../union.js";

/**
 * Finds `name` in the merged directory `parent`. Returns its nodeid, its lookup count one higher and its attributes in
 * `u.stat`; -ENOENT where nothing shows; or another -errno.
 */
export function lookup(u: Union, parent: number, name: string): number {
  const directory = parentOf(u, parent);
  if (typeof directory === "number") return directory;
  return name.length > NAME_MAX ? -ENAMETOOLONG : lookupIn(u, parent, directory, name, -1);
}

/** The same in a directory that is there; part number `from` of it is the topmost one that lists the name, -1: that is not known. */
export function lookupIn(u: Union, parent: number, directory: Directory, name: string, from: number): number {
  const known = u.table.find(parent, name);
  if (known > 0) {
    const r = statNode(u, known);
    if (r === 0) {
      u.table.addLookup(known);
      return known;
    }
    if (!isAbsent(r)) return r;
    // The layers were changed beneath the mount: believe what they say now.
    loseName(u, known, parent, name);
  }
  let r = find(u, parent, directory, name, from);
  if (r < 0) return r;
  const node = enter(u, parent, name);
  if (node < 0) return node;
  u.table.addLookup(node);
  r = present(u, node);
  if (r === 0) return node;
  dropLookup(u, node);
  return r;
}
