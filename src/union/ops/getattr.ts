import { statNode } from "../present.js";
import type { Union } from "../union.js";

/** Reads the attributes of a node as users see them into `u.stat`: 0 or -errno. */
export function getattr(u: Union, node: number): number {
  return statNode(u, node);
}
