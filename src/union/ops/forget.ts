import { release } from "../rows.js";
import type { Union } from "../union.js";

/** The kernel gives back `count` lookups of a node; the last one frees its row, descriptors and pins. */
export function forget(u: Union, node: number, count: number): void {
  if (!u.table.isAlive(node)) return;
  if (u.table.dropLookups(node, count) === 0) release(u, node);
}
