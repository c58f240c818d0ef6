import { EPERM } from "../../errno.js";
import { DT_DIR } from "../../native/constants.js";
import { copyUp } from "../copy-up.js";
import { createAt, creation } from "../create-at.js";
import { prepareName } from "../metacopy.js";
import { present } from "../present.js";
import { mayAdd, mayChange } from "../protection.js";
import { regainName } from "../rows.js";
import type { Union } from "../union.js";

/**
 * Gives the object `node` one more name; a lower one is copied up first. Returns the same nodeid (one lookup counted,
 * attributes in `u.stat`), PARK, or -errno.
 */
export function link(u: Union, node: number, newParent: number, newName: string): number {
  if (u.table.isAlive(node) && u.table.type(node) === DT_DIR) return -EPERM;
  let r = Math.min(mayChange(u, node), mayAdd(u, newParent));
  if (r === 0) r = copyUp(u, node);
  if (r === 0) r = prepareName(u, node);
  if (r < 0) return r;
  creation.hardLink = node;
  creation.mode = 0;
  r = createAt(u, newParent, newName, creation);
  creation.hardLink = 0;
  if (r < 0) return r;
  u.identities.add(u.stat, node);
  regainName(u, node, newParent, newName);
  u.table.addLookup(node);
  r = present(u, node);
  return r < 0 ? r : node;
}
