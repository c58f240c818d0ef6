import { ENAMETOOLONG, isAbsent } from "../../errno.js";
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
  return lookupFrom(u, parent, name, 0);
}

/** The same for a name of which it is known that no part of the directory above number `from` has it. */
export function lookupFrom(u: Union, parent: number, name: string, from: number): number {
  const directory = parentOf(u, parent);
  if (typeof directory === "number") return directory;
  if (name.length > NAME_MAX) return -ENAMETOOLONG;
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
