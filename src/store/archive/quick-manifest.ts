/**
 * What a layer's tree should be, object by object, so that it can be checked without the archive: quick, and against decay and accidents,
 * not against somebody who wants to deceive.
 *
 * `layers/HEX/manifest` is a line for each object, whose fields are parted by a blank: type (as in `TYPES`), mode in octal, user, group, size or
 * device or number of the linked line, modification time, XXH64 of the content, XXH64 of the attributes, path. Bytes of the path below 0x21, `%` and 0x7f
 * are written `%XX`; `-` is what does not apply.
 */
import xxhash from "xxhash-wasm";
import { trustedNames, userNames } from "../../layer/mark-names.js";
import { isNoAttribute } from "../../layer/marks.js";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, type Stat } from "../../layer/stat.js";
import { native } from "../../native/index.js";
import { archivedAttribute } from "./layer-names.js";
import type { TarEntry } from "./tar-header.js";

export const TYPES: Readonly<Record<number, string>> = {
  [S_IFREG]: "file",
  [S_IFDIR]: "dir",
  [S_IFLNK]: "link",
  [S_IFCHR]: "char",
  [S_IFBLK]: "block",
  [S_IFIFO]: "fifo",
};

export type Hashes = Awaited<ReturnType<typeof xxhash>>;
let hashes: Promise<Hashes> | undefined;

/** The hash functions, compiled once. */
export function loadHashes(): Promise<Hashes> {
  hashes ??= xxhash();
  return hashes;
}

/** 16 hexadecimal digits. */
export function hex64(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

/** The hash of attributes, the order of which does not matter; `-` if there are none. Labels of the machine's policy do not count. */
export function hashAttributes(hash: Hashes, attributes: ReadonlyMap<string, string> | undefined): string {
  const counted = [...(attributes ?? [])]
    .filter(([name]) => name !== "security.selinux")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  if (counted.length === 0) return "-";
  const text = counted.map(([name, value]) => `${name}\0${value.length}\0${value}`).join("");
  return hex64(hash.h64Raw(Buffer.from(text, "latin1")));
}

const names = Buffer.alloc(64 * 1024);
const value = Buffer.alloc(64 * 1024);

/** The attributes of an object by name, bytes as latin1, or -errno. Without marks, unless others are `wanted`. */
export function readAttributes(
  fd: number,
  name: string,
  wanted = (attribute: string): boolean => archivedAttribute(attribute) !== undefined,
): Map<string, string> | undefined | number {
  const length = native.listxattr(fd, name, names);
  if (length <= 0) return length === 0 || isNoAttribute(length) ? undefined : length;
  const attributes = new Map<string, string>();
  for (const attribute of names.latin1Slice(0, length - 1).split("\0")) {
    if (!wanted(attribute)) continue;
    const size = native.getxattr(fd, name, attribute, value);
    if (size < 0) return size;
    attributes.set(attribute, value.latin1Slice(0, size));
  }
  return attributes;
}

/** Whether a directory is marked as opaque. */
export function isOpaque(fd: number): boolean {
  return [trustedNames.opaque, userNames.opaque].some(
    (attribute) => native.getxattr(fd, "", attribute, value) === 1 && value[0] === 0x79,
  );
}

/** What a line says about one object. */
export interface ManifestRow {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The size of a file, the numbers of a device `MAJOR:MINOR`, the path of the first name of a hard-linked file (escaped), else `-`. */
  readonly extent: string;
  readonly time: string;
  readonly content: string;
  readonly attributes: string;
  readonly path: string;
}

function formatRow(row: ManifestRow): string {
  return `${row.type} ${row.mode.toString(8)} ${row.uid} ${row.gid} ${row.extent} ${row.time} ${row.content} ${row.attributes} ${escapePath(row.path)}\n`;
}

/** The row of a line; undefined if it is malformed. */
export function parseRow(line: string): ManifestRow | undefined {
  const [type, mode, uid, gid, extent, time, content, attributes, path, ...rest] = line.split(" ");
  if (path === undefined || rest.length > 0 || !/^[0-7]+$/.test(mode ?? "")) return undefined;
  return {
    type: type as string,
    mode: Number.parseInt(mode as string, 8),
    uid: Number(uid),
    gid: Number(gid),
    extent: extent as string,
    time: time as string,
    content: content as string,
    attributes: attributes as string,
    path: unescapePath(path),
  };
}

export function formatTime(seconds: number, nsec: number): string {
  return nsec === 0 ? `${seconds}.000000000` : `${seconds}.${String(nsec).padStart(9, "0")}`;
}

export function extentOf(stat: Stat): string {
  if (stat.isRegular) return String(stat.size);
  return stat.type === S_IFCHR || stat.type === S_IFBLK ? `${stat.rdevMajor}:${stat.rdevMinor}` : "-";
}

export function escapePath(path: string): string {
  return /[\0-\x20%\x7f]/.test(path)
    ? path.replace(/[\0-\x20%\x7f]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, "0")}`)
    : path;
}

export function unescapePath(path: string): string {
  return path.replace(/%([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** The line of an object that has these attributes. `kind` is the type in its mode. */
export function rowOf(
  type: string,
  path: string,
  kind: number,
  { mode, uid, gid, mtime, mtimeNsec }: Pick<TarEntry, "mode" | "uid" | "gid" | "mtime" | "mtimeNsec">,
  extent: string,
  content: string,
  attributes: string,
): string {
  const time = formatTime(mtime, mtimeNsec);
  return formatRow({ type, mode: kind | mode, uid, gid, extent, time, content, attributes, path });
}

/** The line of another name of the object that the line `original` is about. */
export function sameRow(original: string, first: string, path: string): string {
  const mode = Number.parseInt(original.split(" ")[1] as string, 8);
  const extent = escapePath(first);
  return formatRow({ type: "same", mode, uid: 0, gid: 0, extent, time: "-", content: "-", attributes: "-", path });
}

/** The extent that a line says: of `same`, the path of the first name. */
export function extentOfRow(row: string): string {
  return unescapePath(row.split(" ", 5)[4] as string);
}

/** The path that a line is about, which may lack its end. */
export function pathOfRow(row: string): string {
  return unescapePath(row.slice(row.lastIndexOf(" ") + 1));
}

/** The line of the same object under another path. */
export function renamedRow(row: string, path: string): string {
  return `${row.slice(0, row.lastIndexOf(" "))} ${escapePath(path)}\n`;
}
