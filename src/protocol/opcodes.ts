/**
 * The opcode table: one row for each request of the protocol. Dispatch, the check of a request's length, trace lines and
 * statistics all read it; a new request is a new row here and a handler in the session.
 */

/** How a number of a request's body is shown in a trace line: label, offset in the body, kind. */
export type Field = readonly [label: string, at: number, kind: "u32" | "u64" | "i64" | "octal" | "hex"];

/** What an answer without error carries; "none": there is no answer at all. */
export type Answer =
  | "none"
  | "status"
  | "entry"
  | "attr"
  | "statx"
  | "open"
  | "create"
  | "data"
  | "written"
  | "statfs"
  | "xattr"
  | "init"
  | "ioctl"
  | "offset";

export interface Opcode {
  readonly number: number;
  readonly name: string;
  /** Bytes of the fixed part of the body; the names follow it. */
  readonly fixed: number;
  /** How many NUL-terminated strings follow the fixed part. */
  readonly names: 0 | 1 | 2;
  /** Whether the second string is the name of a directory entry (and not the text of a symbolic link). */
  readonly secondIsName: boolean;
  /** The least length of the body: the fixed part and a NUL for each string. */
  readonly minimum: number;
  readonly answer: Answer;
  readonly fields: readonly Field[];
}

export const LOOKUP = 1;
export const FORGET = 2;
export const GETATTR = 3;
export const SETATTR = 4;
export const READLINK = 5;
export const SYMLINK = 6;
export const MKNOD = 8;
export const MKDIR = 9;
export const UNLINK = 10;
export const RMDIR = 11;
export const RENAME = 12;
export const LINK = 13;
export const OPEN = 14;
export const READ = 15;
export const WRITE = 16;
export const STATFS = 17;
export const RELEASE = 18;
export const FSYNC = 20;
export const SETXATTR = 21;
export const GETXATTR = 22;
export const LISTXATTR = 23;
export const REMOVEXATTR = 24;
export const FLUSH = 25;
export const INIT = 26;
export const OPENDIR = 27;
export const READDIR = 28;
export const RELEASEDIR = 29;
export const FSYNCDIR = 30;
export const GETLK = 31;
export const SETLK = 32;
export const SETLKW = 33;
export const ACCESS = 34;
export const CREATE = 35;
export const INTERRUPT = 36;
export const BMAP = 37;
export const DESTROY = 38;
export const IOCTL = 39;
export const POLL = 40;
export const NOTIFY_REPLY = 41;
export const BATCH_FORGET = 42;
export const FALLOCATE = 43;
export const READDIRPLUS = 44;
export const RENAME2 = 45;
export const LSEEK = 46;
export const COPY_FILE_RANGE = 47;
export const SETUPMAPPING = 48;
export const REMOVEMAPPING = 49;
export const SYNCFS = 50;
export const TMPFILE = 51;
export const STATX = 52;
export const COPY_FILE_RANGE_64 = 53;

function row(
  number: number,
  name: string,
  fixed: number,
  names: 0 | 1 | 2,
  answer: Answer,
  ...fields: readonly Field[]
): Opcode {
  return { number, name, fixed, names, secondIsName: number !== SYMLINK, minimum: fixed + names, answer, fields };
}

const rows: readonly Opcode[] = [
  row(LOOKUP, "LOOKUP", 0, 1, "entry"),
  row(FORGET, "FORGET", 8, 0, "none", ["count", 0, "u64"]),
  row(GETATTR, "GETATTR", 16, 0, "attr"),
  row(SETATTR, "SETATTR", 88, 0, "attr", ["valid", 0, "hex"], ["size", 16, "u64"], ["mode", 68, "octal"]),
  row(READLINK, "READLINK", 0, 0, "data"),
  row(SYMLINK, "SYMLINK", 0, 2, "entry"),
  row(MKNOD, "MKNOD", 16, 1, "entry", ["mode", 0, "octal"], ["rdev", 4, "hex"], ["umask", 8, "octal"]),
  row(MKDIR, "MKDIR", 8, 1, "entry", ["mode", 0, "octal"], ["umask", 4, "octal"]),
  row(UNLINK, "UNLINK", 0, 1, "status"),
  row(RMDIR, "RMDIR", 0, 1, "status"),
  row(RENAME, "RENAME", 8, 2, "status", ["to n", 0, "u64"]),
  row(LINK, "LINK", 8, 1, "entry", ["of n", 0, "u64"]),
  row(OPEN, "OPEN", 8, 0, "open", ["flags", 0, "octal"], ["open", 4, "hex"]),
  row(READ, "READ", 40, 0, "data", ["offset", 8, "u64"], ["size", 16, "u32"]),
  row(WRITE, "WRITE", 40, 0, "written", ["offset", 8, "u64"], ["size", 16, "u32"], ["write", 20, "hex"]),
  row(STATFS, "STATFS", 0, 0, "statfs"),
  row(RELEASE, "RELEASE", 24, 0, "status", ["fh", 0, "u64"]),
  row(FSYNC, "FSYNC", 16, 0, "status", ["flags", 8, "hex"]),
  // The fixed part is 16 bytes once SETXATTR_EXT is agreed: the session tells the request.
  row(SETXATTR, "SETXATTR", 8, 1, "status", ["size", 0, "u32"], ["flags", 4, "hex"]),
  row(GETXATTR, "GETXATTR", 8, 1, "xattr", ["size", 0, "u32"]),
  row(LISTXATTR, "LISTXATTR", 8, 0, "xattr", ["size", 0, "u32"]),
  row(REMOVEXATTR, "REMOVEXATTR", 0, 1, "status"),
  row(FLUSH, "FLUSH", 24, 0, "status"),
  row(INIT, "INIT", 16, 0, "init", ["major", 0, "u32"], ["minor", 4, "u32"], ["flags", 12, "hex"]),
  row(OPENDIR, "OPENDIR", 8, 0, "open"),
  row(READDIR, "READDIR", 40, 0, "data", ["fh", 0, "u64"], ["offset", 8, "u64"], ["size", 16, "u32"]),
  row(RELEASEDIR, "RELEASEDIR", 24, 0, "status", ["fh", 0, "u64"]),
  row(FSYNCDIR, "FSYNCDIR", 16, 0, "status", ["flags", 8, "hex"]),
  row(GETLK, "GETLK", 48, 0, "data"),
  row(SETLK, "SETLK", 48, 0, "status"),
  row(SETLKW, "SETLKW", 48, 0, "status"),
  row(ACCESS, "ACCESS", 8, 0, "status", ["mask", 0, "octal"]),
  row(CREATE, "CREATE", 16, 1, "create", ["flags", 0, "octal"], ["mode", 4, "octal"], ["umask", 8, "octal"]),
  row(INTERRUPT, "INTERRUPT", 8, 0, "none", ["of", 0, "u64"]),
  row(BMAP, "BMAP", 16, 0, "offset"),
  row(DESTROY, "DESTROY", 0, 0, "status"),
  row(IOCTL, "IOCTL", 32, 0, "ioctl", ["command", 12, "hex"], ["in", 24, "u32"], ["out", 28, "u32"]),
  row(POLL, "POLL", 24, 0, "data"),
  row(NOTIFY_REPLY, "NOTIFY_REPLY", 40, 0, "none"),
  row(BATCH_FORGET, "BATCH_FORGET", 8, 0, "none", ["nodes", 0, "u32"]),
  row(FALLOCATE, "FALLOCATE", 32, 0, "status", ["offset", 8, "u64"], ["length", 16, "u64"], ["mode", 24, "hex"]),
  row(READDIRPLUS, "READDIRPLUS", 40, 0, "data", ["fh", 0, "u64"], ["offset", 8, "u64"], ["size", 16, "u32"]),
  row(RENAME2, "RENAME2", 16, 2, "status", ["to n", 0, "u64"], ["flags", 8, "hex"]),
  row(LSEEK, "LSEEK", 24, 0, "offset", ["offset", 8, "i64"], ["whence", 16, "u32"]),
  row(
    COPY_FILE_RANGE,
    "COPY_FILE_RANGE",
    56,
    0,
    "written",
    ["offset", 8, "u64"],
    ["to n", 16, "u64"],
    ["offset", 32, "u64"],
    ["length", 40, "u64"],
  ),
  row(SETUPMAPPING, "SETUPMAPPING", 40, 0, "status"),
  row(REMOVEMAPPING, "REMOVEMAPPING", 4, 0, "status"),
  row(SYNCFS, "SYNCFS", 8, 0, "status"),
  row(TMPFILE, "TMPFILE", 16, 1, "create", ["flags", 0, "octal"], ["mode", 4, "octal"], ["umask", 8, "octal"]),
  row(STATX, "STATX", 24, 0, "statx", ["mask", 20, "hex"]),
  row(
    COPY_FILE_RANGE_64,
    "COPY_FILE_RANGE_64",
    56,
    0,
    "written",
    ["offset", 8, "u64"],
    ["to n", 16, "u64"],
    ["offset", 32, "u64"],
    ["length", 40, "u64"],
  ),
];

/** One more than the highest opcode: the size of arrays indexed by opcode. */
export const opcodeLimit = 54;

/** The rows by number; holes (7, 19) and everything beyond are undefined. */
export const opcodes: readonly (Opcode | undefined)[] = Array.from({ length: opcodeLimit }, (_, number) =>
  rows.find((candidate) => candidate.number === number),
);

/** The name of an opcode for logs, known or not. */
export function opcodeName(number: number): string {
  return opcodes[number]?.name ?? `opcode ${number}`;
}
