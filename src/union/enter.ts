/** From what a search found to its node: a known one, or a new row of the table. */
import { ENOENT } from "../errno.js";
import { S_IFMT } from "../layer/stat.js";
import { DT_DIR } from "../native/constants.js";
import { Directory } from "./directory.js";
import type { Union } from "./union.js";

/**
 * The node for what `found` (a successful search for `name`) describes, `stat` holding its backing's attributes: the
 * known one if it is another link of a known file, otherwise a new row. No lookup is counted. Or -errno.
 */
export function enter(u: Union, parent: number, name: string): number {
  const { table, found, stat } = u;
  const type = (stat.mode & S_IFMT) >> 12;
  if (type !== DT_DIR && stat.nlink > 1) return enterLinked(u, parent, name, type);
  const node = addRow(u, parent, name, type, found.layer);
  if (type === DT_DIR) {
    const directory = new Directory(found.takeParts());
    directory.redirect = found.redirect;
    table.setDirectory(node, directory);
  }
  return node;
}

function addRow(u: Union, parent: number, name: string, type: number, layer: number): number {
  const { table } = u;
  const node = table.add(type, layer);
  table.addName(node, parent, name);
  u.inodes.show(u.stat);
  table.setIno(node, u.inodes.low, u.inodes.high);
  return node;
}

/** `enter` for a non-directory with several links, in the upper, in a lower layer, or copied up under another name. */
function enterLinked(u: Union, parent: number, name: string, type: number): number {
  const { found, stat, index, identities } = u;
  const known = identities.find(stat);
  if (known > 0) {
    u.regainName(known, parent, name);
    // A lower name of a file that has been copied up meanwhile.
    const r = u.table.layer(known) === found.layer ? 0 : u.statBacking(known, stat);
    return r < 0 ? r : known;
  }
  const part = u.table.directory(parent)?.partIn(found.layer);
  const fd = part ? u.partFd(parent, part) : -ENOENT;
  if (fd < 0) return fd;
  if (found.layer === 0) {
    const entry = index === null ? null : index.findUpper(fd, name, stat);
    if (typeof entry === "number") return entry;
    const node = addRow(u, parent, name, type, 0);
    identities.add(stat, node);
    if (entry !== null) index?.adopt(node, entry);
    return node;
  }
  const origin = index?.origin(fd, name, stat) ?? null;
  if (typeof origin === "number") return origin;
  // Without a handle each name is a file of its own, which is what it becomes at copy-up.
  if (index === null || origin === null) return addRow(u, parent, name, type, found.layer);
  u.aside.copyFrom(stat);
  const entry = index.find(origin, stat);
  if (typeof entry === "number") return entry;
  if (entry === null) {
    const node = addRow(u, parent, name, type, found.layer);
    identities.add(stat, node);
    return node;
  }
  // `stat` is the entry's now; it goes on showing the number of the lower file.
  const copied = identities.find(stat);
  if (copied > 0) {
    identities.add(u.aside, copied);
    u.regainName(copied, parent, name);
    return copied;
  }
  u.inodes.show(u.aside);
  u.inodes.keep(stat, u.inodes.low, u.inodes.high);
  const node = addRow(u, parent, name, type, 0);
  identities.add(stat, node);
  identities.add(u.aside, node);
  index.adopt(node, entry);
  return node;
}
