/**
 * `--strict`: before the mount starts, everything in the upper and its index is looked at as users would, and nothing that cannot be
 * served as it should be is accepted. Costs a look-up for each object in the upper.
 */
import { errnoName, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { readOrigin } from "../layer/marks.js";
import { STATX_ALL } from "../layer/stat.js";
import { native } from "../native/index.js";
import { shown } from "../text.js";
import { dataPlace, dataSource } from "../union/data-source.js";
import { partFd } from "../union/locate.js";
import { MountError } from "../union/mount-error.js";
import { DATA_BELOW, ROOT } from "../union/node-table.js";
import { forget } from "../union/ops/forget.js";
import { lookup } from "../union/ops/lookup.js";
import type { Union } from "../union/union.js";

/** Throws MountError that names the first object which cannot be used, and how many there are. */
export function checkStrictly(u: Union): void {
  const wrong: string[] = [];
  const before = u.warnings;
  checkIndex(u, wrong);
  checkUpper(u, wrong);
  const count = Math.max(wrong.length, u.warnings - before);
  if (count === 0) return;
  const first = wrong[0] ?? "--foreground or --log FILE tell which";
  throw new MountError(
    `strict: ${count} ${count === 1 ? "object" : "objects"} in the upper cannot be used: ${first}: mend that, or mount without strict`,
  );
}

/** Directories of the upper, and what is in them. Their parts in the layers below are looked at on the way. */
function checkUpper(u: Union, wrong: string[]): void {
  const directories = [ROOT];
  for (let node = directories.pop(); node !== undefined; node = directories.pop()) {
    const upper = u.table.directory(node)?.upper;
    const fd = upper ? partFd(u, node, upper) : -1;
    const names: string[] = [];
    const read = fd < 0 ? fd : readListing(fd, { entry: (name) => void names.push(name) });
    if (upper && read < 0) wrong.push(`${shown(u.describe(node))}: ${errnoName(read)}`);
    for (const name of names) {
      const at = `${shown(u.describe(node)).replace(/\/$/, "")}/${shown(name)}`;
      const child = lookup(u, node, name);
      if (child < 0) {
        if (!isAbsent(child)) wrong.push(`${at}: ${errnoName(child)}`);
        continue;
      }
      const data = checkData(u, child);
      if (data < 0) wrong.push(`${at}: ${errnoName(data)}`);
      if (u.table.directory(child)?.upper) directories.push(child);
      else forget(u, child, 1);
    }
    if (node !== ROOT) forget(u, node, 1);
  }
}

/** Whether the data of a metacopy can be found: 0 or -errno. */
function checkData(u: Union, node: number): number {
  const place = dataPlace(u, node);
  if (place !== DATA_BELOW) return Math.min(place, 0);
  const source = dataSource(u, node);
  return typeof source === "number" ? source : source.result;
}

const origin = Buffer.alloc(256);

/** Each entry of the index of a file must say that it is what its name says; whiteouts and directories among them are the kernel's. */
function checkIndex(u: Union, wrong: string[]): void {
  const fd = u.index?.directory ?? -1;
  if (fd < 0) return;
  const names: string[] = [];
  const read = readListing(fd, { entry: (name) => void (name.startsWith("#") || names.push(name)) });
  if (read < 0) wrong.push(`index: ${errnoName(read)}`);
  for (const name of names) {
    const r = native.statx(fd, name, STATX_ALL, u.aside.bytes);
    if (r === 0 && (u.aside.isWhiteoutDevice || u.aside.isDirectory)) continue;
    const length = readOrigin(fd, name, origin);
    const says = length < 0 ? errnoName(length) : origin.toString("hex", 0, length);
    if (says !== name) wrong.push(`index/${shown(name)}: its origin is ${says}`);
  }
}
