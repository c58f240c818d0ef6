/** ACLs as GNU tar and star write them, in words (`SCHILY.acl.access`), to what the kernel keeps in an attribute. */
import { readFileSync } from "node:fs";

/** Tags of struct posix_acl_xattr_entry, by the word and whether somebody is named. */
const tags: Readonly<Record<string, readonly [unnamed: number, named: number]>> = {
  user: [0x01, 0x02],
  group: [0x04, 0x08],
  mask: [0x10, 0],
  other: [0x20, 0],
};

const VERSION = 2;
const NOBODY = 0xffffffff;

/**
 * The attribute's value, bytes as latin1. Entries are `TYPE:WHO:rwx[:ID]`, parted by commas or lines; WHO is a number, or a name that this machine has, as for
 * tar. Undefined if it is something else.
 */
export function aclOfText(text: string): string | undefined {
  const entries: { tag: number; permissions: number; id: number }[] = [];
  for (const part of text.split(/[\n,]/)) {
    if (part.trim() === "") continue;
    const [type = "", who = "", permissions = "", given] = part.trim().split(":");
    const known = Object.hasOwn(tags, type) ? tags[type] : undefined;
    const tag = known?.[who === "" ? 0 : 1];
    // What follows a blank is a comment about effective permissions.
    const bits = /^([r-])([w-])([x-])(?:\s|$)/.exec(permissions);
    if (!tag || bits === null) return undefined;
    const id = who === "" ? NOBODY : idOf(given ?? who, type === "user" ? "/etc/passwd" : "/etc/group");
    if (id === undefined) return undefined;
    const [, r, w, x] = bits;
    entries.push({ tag, permissions: (r === "r" ? 4 : 0) + (w === "w" ? 2 : 0) + (x === "x" ? 1 : 0), id });
  }
  if (entries.length === 0) return undefined;
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const value = Buffer.alloc(4 + 8 * entries.length);
  value.writeUInt32LE(VERSION, 0);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + 8 * index);
    value.writeUInt16LE(permissions, 6 + 8 * index);
    value.writeUInt32LE(id, 8 + 8 * index);
  }
  return value.latin1Slice();
}

function idOf(who: string, file: string): number | undefined {
  if (/^\d+$/.test(who)) return Number(who) < NOBODY ? Number(who) : undefined;
  try {
    const line = readFileSync(file, "latin1")
      .split("\n")
      .find((one) => one.startsWith(`${who}:`));
    return line === undefined ? undefined : Number(line.split(":")[2]);
  } catch {
    return undefined;
  }
}
