/**
 * Headers of tar archives: POSIX ustar, pax and GNU, by the byte. A library would be shorter, but those there are decode names and pax values as
 * UTF-8, which destroys binary attributes and foreign names, and hand out streams, an event loop's turn for each file.
 */
import { StoreError } from "../error.js";

export const BLOCK = 512;

/** Types of entries, as the characters in their headers. `\0` and `7` are read as FILE. */
export const FILE = "0";
export const LINK = "1";
export const SYMLINK = "2";
export const CHARACTER = "3";
export const BLOCK_DEVICE = "4";
export const DIRECTORY = "5";
export const FIFO = "6";
export const PAX = "x";
export const PAX_GLOBAL = "g";
export const GNU_LONG_NAME = "L";
export const GNU_LONG_LINK = "K";
export const GNU_SPARSE = "S";

/** What a header says; names are latin1 strings. Times are seconds and nanoseconds. */
export interface TarHeader {
  path: string;
  type: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  mtimeNsec: number;
  linkPath: string;
  major: number;
  minor: number;
}

/** Of what is nobody's in particular: root's, as of 1970. */
export const ofRoot = { uid: 0, gid: 0, mtime: 0, mtimeNsec: 0, linkPath: "", major: 0, minor: 0 };

/** An entry with what the headers before it say. */
export interface TarEntry extends TarHeader {
  /** By name, both bytes as latin1; undefined if there are none. */
  xattrs: Map<string, string> | undefined;
  /** An ACL that could not be understood, for a warning. */
  lostAcl?: string;
  /** The archive has only a part of the content: see `TarHandler.sparse`. */
  sparse?: true;
}

/** The header in the 512 bytes at `offset`; undefined if they are zeros, which end an archive. Throws StoreError. */
export function decodeHeader(bytes: Buffer, offset: number): TarEntry | undefined {
  const sum = checksum(bytes, offset);
  if (sum === 8 * 0x20 && bytes[offset] === 0) return undefined;
  if (number(bytes, offset + 148, 8) !== sum) {
    throw new StoreError("the tar archive is damaged: the checksum of a header is wrong");
  }
  let path = text(bytes, offset, 100);
  if (isUstar(bytes, offset + 257)) {
    const prefix = text(bytes, offset + 345, 155);
    if (prefix !== "") path = `${prefix}/${path}`;
  }
  let type = String.fromCharCode(bytes[offset + 156] as number);
  if (type === "\0" || type === "7") type = FILE;
  const hasDevice = type === CHARACTER || type === BLOCK_DEVICE;
  return {
    path,
    type,
    mode: number(bytes, offset + 100, 8) & 0o7777,
    uid: number(bytes, offset + 108, 8),
    gid: number(bytes, offset + 116, 8),
    // Links have no content, though some writers tell the size of what they link to.
    size: number(bytes, offset + 124, 12),
    mtime: number(bytes, offset + 136, 12),
    mtimeNsec: 0,
    linkPath: text(bytes, offset + 157, 100),
    major: hasDevice ? number(bytes, offset + 329, 8) : 0,
    minor: hasDevice ? number(bytes, offset + 337, 8) : 0,
    xattrs: undefined,
  };
}

/** Whether `ustar\0` is there; GNU has a blank for the NUL, and no prefix. */
function isUstar(bytes: Buffer, at: number): boolean {
  return bytes.readUInt32BE(at) === 0x75737461 && bytes[at + 4] === 0x72 && bytes[at + 5] === 0;
}

/** The sum of the bytes of a header, its own field counted as blanks. */
function checksum(bytes: Buffer, offset: number): number {
  let sum = 8 * 0x20;
  for (let at = offset; at < offset + 148; at++) sum += bytes[at] as number;
  for (let at = offset + 156; at < offset + BLOCK; at++) sum += bytes[at] as number;
  return sum;
}

function text(bytes: Buffer, start: number, length: number): string {
  let end = start;
  while (end < start + length && bytes[end] !== 0) end++;
  return end === start ? "" : bytes.latin1Slice(start, end);
}

/** A number of a header: octal digits, or GNU's binary form if the top bit is set. Throws StoreError. */
export function number(bytes: Buffer, start: number, length: number): number {
  const first = bytes[start] as number;
  if (first & 0x80) {
    // Two's complement of all bits but the topmost.
    let value = first & 0x40 ? first - 0x100 : first & 0x7f;
    for (let at = start + 1; at < start + length; at++) value = value * 256 + (bytes[at] as number);
    if (!Number.isSafeInteger(value))
      throw new StoreError("the tar archive is damaged: a number in a header is too big");
    return value;
  }
  let value = 0;
  let at = start;
  const end = start + length;
  while (at < end && bytes[at] === 0x20) at++;
  for (; at < end; at++) {
    const digit = bytes[at] as number;
    if (digit < 0x30 || digit > 0x37) {
      if (digit === 0 || digit === 0x20) break;
      throw new StoreError("the tar archive is damaged: a number in a header is not octal");
    }
    value = value * 8 + digit - 0x30;
  }
  return value;
}

/** Whether a number has a place in an octal field of `length` bytes. */
function fits(value: number, length: number): boolean {
  return value >= 0 && value < 8 ** (length - 1);
}

/**
 * The blocks that say all of `header`: a POSIX header, and before it a pax header for what has no place there and for `records`, whose
 * values are bytes. The same header gives the same bytes.
 */
export function encodeHeader(header: TarHeader, records: ReadonlyMap<string, string> = new Map()): Buffer {
  const pax = new Map<string, string>();
  const plain = { ...header };
  const split = splitPath(header.path);
  if (split === undefined || !isAscii(header.path)) pax.set("path", header.path);
  if (header.linkPath.length > 100 || !isAscii(header.linkPath)) pax.set("linkpath", header.linkPath);
  for (const [field, length] of [
    ["uid", 8],
    ["gid", 8],
    ["size", 12],
  ] as const) {
    if (fits(header[field], length)) continue;
    pax.set(field, String(header[field]));
    plain[field] = 0;
  }
  if (header.mtimeNsec !== 0 || !fits(header.mtime, 12)) {
    pax.set("mtime", paxTime(header.mtime, header.mtimeNsec));
    if (!fits(header.mtime, 12)) plain.mtime = 0;
  }
  for (const [key, value] of records) pax.set(key, value);
  const [prefix, name] = split ?? ["", header.path.slice(-100)];
  const main = encodeBlock(plain, prefix, name);
  if (pax.size === 0) return main;
  const body = encodePax(pax);
  const base = header.path.replace(/\/$/, "").split("/").at(-1) ?? "";
  const head = encodeBlock(
    { ...plain, type: PAX, mode: 0o644, uid: 0, gid: 0, mtime: 0, size: body.length, linkPath: "", major: 0, minor: 0 },
    "",
    `PaxHeaders.0/${base}`.slice(0, 100),
  );
  return Buffer.concat([head, body, padding(body.length), main]);
}

function isAscii(path: string): boolean {
  return /^[\0-\x7f]*$/.test(path);
}

/** A path as the two fields that a header has for it: prefix and name. */
function splitPath(path: string): [string, string] | undefined {
  if (path.length <= 100) return ["", path];
  const slash = path.lastIndexOf("/", 155);
  const end = path.endsWith("/") ? path.length - 1 : path.length;
  if (slash <= 0 || slash >= end || path.length - slash - 1 > 100) return undefined;
  return [path.slice(0, slash), path.slice(slash + 1)];
}

function encodeBlock(header: TarHeader, prefix: string, name: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    block.latin1Write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, length);
  };
  block.latin1Write(name, 0, 100);
  octal(header.mode, 100, 8);
  octal(header.uid, 108, 8);
  octal(header.gid, 116, 8);
  octal(header.size, 124, 12);
  octal(header.mtime, 136, 12);
  block.latin1Write("        ", 148, 8);
  block.latin1Write(header.type, 156, 1);
  block.latin1Write(header.linkPath.slice(0, 100), 157, 100);
  block.latin1Write("ustar\0", 257, 8);
  block.latin1Write("00", 263, 2);
  octal(header.major, 329, 8);
  octal(header.minor, 337, 8);
  block.latin1Write(prefix, 345, 155);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.latin1Write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8);
  return block;
}

/** The zeros after `size` bytes of content. */
export function padding(size: number): Buffer {
  return zeros.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK);
}
const zeros = Buffer.alloc(2 * BLOCK);
/** The end of an archive. */
export const endOfArchive: Buffer = zeros;

function paxTime(seconds: number, nsec: number): string {
  if (nsec === 0) return String(seconds);
  // -1 s and 750,000,000 ns are -0.25 s.
  const [whole, fraction] = seconds < 0 ? [seconds + 1, 1e9 - nsec] : [seconds, nsec];
  const sign = seconds < 0 ? "-" : "";
  return `${sign}${Math.abs(whole)}.${String(fraction).padStart(9, "0").replace(/0+$/, "")}`;
}

/** Seconds and nanoseconds (0 or more) of a decimal number; undefined if it is none. */
export function parsePaxTime(value: string): [number, number] | undefined {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(value);
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = ""] = match;
  const nsec = Number(fraction.slice(0, 9).padEnd(9, "0"));
  const seconds = Number(whole);
  if (!Number.isSafeInteger(seconds)) return undefined;
  if (sign === "") return [seconds, nsec];
  return nsec === 0 ? [seconds === 0 ? 0 : -seconds, 0] : [-seconds - 1, 1e9 - nsec];
}

/** Records of a pax header: `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function encodePax(records: ReadonlyMap<string, string>): Buffer {
  let all = "";
  for (const [key, value] of records) {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    all += `${length}${rest}`;
  }
  return Buffer.from(all, "latin1");
}

/** Adds the records of a pax header to `into`, bytes as latin1; an empty value takes a record away. Throws StoreError. */
export function decodePax(bytes: Buffer, into: Map<string, string>): void {
  let at = 0;
  while (at < bytes.length) {
    const blank = bytes.indexOf(0x20, at);
    const length = blank < 0 ? Number.NaN : Number(bytes.latin1Slice(at, blank));
    const end = at + length;
    const equals = bytes.indexOf(0x3d, blank);
    if (
      !Number.isInteger(length) ||
      length < 5 ||
      end > bytes.length ||
      equals < 0 ||
      equals >= end ||
      bytes[end - 1] !== 10
    ) {
      throw new StoreError("the tar archive is damaged: a pax header is malformed");
    }
    const key = bytes.latin1Slice(blank + 1, equals);
    // The first form of sparse maps: a record for each number.
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
      const map = into.get("GNU.sparse.map");
      into.set("GNU.sparse.map", `${map === undefined ? "" : `${map},`}${bytes.latin1Slice(equals + 1, end - 1)}`);
    } else if (equals + 1 === end - 1 && !key.startsWith("SCHILY.xattr.")) into.delete(key);
    else into.set(key, bytes.latin1Slice(equals + 1, end - 1));
    at = end;
  }
}
