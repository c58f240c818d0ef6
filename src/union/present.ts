/**
 * What users see: attributes of a node, from what its layer says.
 */
import { dataPlace, dataSource } from "./data-source.js";
import { countSubdirectories } from "./listing.js";
import { statBacking } from "./locate.js";
import { DATA_BELOW, DATA_UNKNOWN, ROOT } from "./node-table.js";
import type { Union } from "./union.js";

/** Reads the attributes of a node as users see them into `u.stat`: 0 or -errno. */
export function statNode(u: Union, node: number): number {
  const r = statBacking(u, node, u.stat);
  return r < 0 ? r : present(u, node);
}

/** Turns `u.stat` from what the layer says about a node into what users see: 0 or -errno. */
export function present(u: Union, node: number): number {
  const table = u.table;
  if (u.ownership !== null) {
    const r = u.ownership.show(u, node);
    if (r < 0) return r;
  }
  u.unsynced.showChangeTime(u.stat);
  u.stat.setIno(table.inoLow(node), table.inoHigh(node));
  const directory = table.directory(node);
  if (directory === undefined) {
    u.stat.nlink = shownLinks(u, node, u.stat.nlink);
    return presentMetacopy(u, node);
  }
  if (table.isNameless(node) && node !== ROOT) {
    u.stat.nlink = 0;
    return 0;
  }
  if (directory.ctime !== null) u.stat.ctimeWords.set(directory.ctime);
  if (!directory.isMerged) return 0;
  const count = countSubdirectories(u, node, directory);
  if (count < 0) return count;
  u.stat.nlink = count + 2;
  return 0;
}

/**
 * Blocks of a metacopy are those of its data, and what copying that disturbs shows as it was. Costs a system call for each file
 * that is all hole, and once.
 */
function presentMetacopy(u: Union, node: number): number {
  const { stat, table } = u;
  let place = table.data(node);
  if (place === DATA_UNKNOWN && stat.isRegular && stat.blocks === 0 && stat.size > 0) place = dataPlace(u, node);
  if (place !== DATA_BELOW) return Math.min(place, 0);
  const before = u.copies.byNode.get(node)?.completes?.before ?? u.unsynced.voids.get(node);
  if (before !== undefined) stat.copyWrittenFrom(before, u.ownership?.stored == null);
  const source = dataSource(u, node);
  if (typeof source === "number") return source;
  stat.blocks = source.blocks;
  return 0;
}

/** How many links of a non-directory users see, from the number its layer says. */
export function shownLinks(u: Union, node: number, links: number): number {
  const { table } = u;
  // A lower object never changes; one whose name is gone has no link left that users could see.
  if (table.layer(node) !== 0) return table.isNameless(node) ? 0 : links;
  const entry = u.index?.of(node);
  return entry === undefined ? links : Math.max(links + entry.difference, 0);
}
