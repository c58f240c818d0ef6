/** What chattr(1) forbids: enforced by each verb, kept over copy-up and remounts, and settable through the union. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ENOTTY, EPERM, EROFS } from "../errno.js";
import { S_IFREG } from "../layer/stat.js";
import {
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_SETFLAGS,
  O_APPEND,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
} from "../native/constants.js";
import { native } from "../native/index.js";
import { APPEND_ONLY, IMMUTABLE, ROOT } from "./node-table.js";
import { changeFd, write } from "./ops/data.js";
import { getFlags, type Setter, setFlags } from "./ops/ioctl.js";
import { link } from "./ops/link.js";
import { mkdir } from "./ops/mkdir.js";
import { mknod } from "./ops/mknod.js";
import { rename } from "./ops/rename.js";
import { rmdir } from "./ops/rmdir.js";
import { noChange, setattr } from "./ops/setattr.js";
import { symlink } from "./ops/symlink.js";
import { unlink } from "./ops/unlink.js";
import { removexattr, setxattr } from "./ops/xattr.js";
import { mayOpen } from "./protection.js";
import { Bench, cat, mark } from "./testing.js";

const NODUMP = 0x40;
const SYNC = 0x8;

const cred = { uid: 0, gid: 0 };
const root: Setter = { uid: -1, mayProtect: true };
const nothing = noChange();
const MODE = 1;
const SIZE = 8;
const TIMES = 0x10 | 0x20;
const NOW = 0x80 | 0x100;

let bench: Bench | undefined;
afterEach(() => {
  vi.restoreAllMocks();
  // It complains of whiteouts, which have no flags.
  if (bench !== undefined) spawnSync("chattr", ["-R", "-f", "-ia", bench.root]);
  bench?.close();
  bench = undefined;
});

function make(...args: ConstructorParameters<typeof Bench>): Bench {
  bench = new Bench(...args);
  return bench;
}

/** Sets flags in the first lower layer. */
const chattr = (b: Bench, ...flags: [flag: string, path: string][]): void =>
  b.change(() => {
    for (const [flag, path] of flags) execFileSync("chattr", [flag, join(b.lowers[0] as string, path)]);
  });

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
/** What of the flags the tests set; the others say how ext4 stores the file, and stay. */
const OURS = IMMUTABLE | APPEND_ONLY | NODUMP | SYNC;
const set = (b: Bench, path: string, flags: number, setter: Setter = root): number =>
  setFlags(b.u, b.node(path), FS_IOC_SETFLAGS, words((get(b, path) & ~OURS) | flags), setter);

function get(b: Bench, path: string, command = FS_IOC_GETFLAGS): number {
  const out = new Uint8Array(28);
  const length = getFlags(b.u, b.node(path), command, out);
  return length < 0 ? length : (new Uint32Array(out.buffer)[0] as number);
}

const protection = (b: Bench, path: string): number => get(b, path) & (IMMUTABLE | APPEND_ONLY);
const put = (b: Bench, path: string, text: string, offset = 0): number =>
  write(b.u, b.node(path), Buffer.from(text), 0, text.length, offset, null, false);
const change = (b: Bench, path: string, valid: number): number =>
  setattr(b.u, b.node(path), { ...nothing, valid, mode: 0o600, size: 1 });

/** The letters that an object of the upper stores, or -errno. */
function letters(b: Bench, path: string): string | number {
  const value = Buffer.alloc(16);
  const length = native.getxattr(-100, join(b.upper, path), "trusted.overlay.protattr", value);
  return length < 0 ? length : value.latin1Slice(0, length);
}

/** Each verb that would change the file, or take it or another from its names; `dir` and `other` may be changed. */
const verbs: Record<string, (b: Bench, path: string) => number> = {
  mode: (b, path) => change(b, path, MODE),
  size: (b, path) => change(b, path, SIZE),
  times: (b, path) => change(b, path, TIMES),
  write: (b, path) => put(b, path, "x"),
  fallocate: (b, path) => changeFd(b.u, b.node(path)),
  setxattr: (b, path) => setxattr(b.u, b.node(path), "user.a", Buffer.from("b"), 0, false),
  removexattr: (b, path) => removexattr(b.u, b.node(path), "user.a"),
  link: (b, path) => link(b.u, b.node(path), b.node("dir"), "linked"),
  unlink: (b, path) => unlink(b.u, ROOT, path),
  "rename from": (b, path) => rename(b.u, ROOT, path, b.node("dir"), "renamed", 0),
  "rename to": (b, path) => rename(b.u, ROOT, "other", ROOT, path, 0),
  exchange: (b, path) => rename(b.u, ROOT, "other", ROOT, path, 2),
};

const tree = { f: "lower", other: "other", "dir/x": "x" };

describe("what is immutable", () => {
  test("is changed by no verb, and not copied up for the attempt", () => {
    const b = make([tree], {});
    chattr(b, ["+i", "f"]);
    for (const [verb, attempt] of Object.entries(verbs)) expect(attempt(b, "f"), verb).toBe(-EPERM);
    expect(change(b, "f", TIMES | NOW)).toBe(-EPERM);
    expect(put(b, "f", "more", 5)).toBe(-EPERM);
    expect(readdirSync(b.upper)).toEqual([]);
    expect(cat(b, "f")).toBe("lower");
    expect(protection(b, "f")).toBe(IMMUTABLE);
  });

  test("stays so when it is renamed along with its directory, or comes up by a hard link", () => {
    const b = make([{ "dir/f": "lower", "dir/g": "= dir/f", "dir/sub/x": "x" }]);
    chattr(b, ["+i", "dir/f"], ["+a", "dir/sub"]);
    expect(rename(b.u, ROOT, "dir", ROOT, "moved", 0)).toBe(0);
    for (const reopen of [false, true]) {
      if (reopen) b.reopen();
      expect(put(b, "moved/g", "x")).toBe(-EPERM);
      expect(protection(b, "moved/g")).toBe(IMMUTABLE);
      expect(unlink(b.u, b.node("moved/sub"), "x")).toBe(-EPERM);
    }
    expect(set(b, "moved/f", 0)).toBe(0);
    expect(put(b, "moved/g", "x")).toBe(1);
    b.reopen();
    expect(protection(b, "moved/g")).toBe(0);
    expect(cat(b, "moved/f")).toBe("xower");
  });

  test("as a directory takes and loses no names; what is in it can be changed", () => {
    const b = make([{ "dir/f": "f", "dir/sub/": "", other: "" }]);
    chattr(b, ["+i", "dir"]);
    const dir = b.node("dir");
    expect(mkdir(b.u, dir, "n", 0o755, 0, cred)).toBe(-EPERM);
    expect(mknod(b.u, dir, "n", S_IFREG | 0o644, 0, 0, 0, cred)).toBe(-EPERM);
    expect(symlink(b.u, dir, "n", "t", cred)).toBe(-EPERM);
    expect(link(b.u, b.node("other"), dir, "n")).toBe(-EPERM);
    expect(unlink(b.u, dir, "f")).toBe(-EPERM);
    expect(rmdir(b.u, dir, "sub")).toBe(-EPERM);
    expect(rename(b.u, dir, "f", ROOT, "n", 0)).toBe(-EPERM);
    expect(rename(b.u, ROOT, "other", dir, "n", 0)).toBe(-EPERM);
    expect(rename(b.u, ROOT, "dir", ROOT, "n", 0)).toBe(-EPERM);
    expect(put(b, "dir/f", "F")).toBe(1);
    // Its copy says so too.
    expect(letters(b, "dir")).toBe("i");
    expect(mkdir(b.u, dir, "n", 0o755, 0, cred)).toBe(-EPERM);
    b.reopen();
    expect(unlink(b.u, b.node("dir"), "f")).toBe(-EPERM);
    expect(set(b, "dir", 0)).toBe(0);
    expect(unlink(b.u, b.node("dir"), "f")).toBe(0);
  });
});

describe("what may only grow", () => {
  test("takes data at its end, and touch", () => {
    const b = make([tree], {});
    chattr(b, ["+a", "f"]);
    for (const [verb, attempt] of Object.entries(verbs)) expect(attempt(b, "f"), verb).toBe(-EPERM);
    expect(change(b, "f", TIMES | NOW)).toBe(0);
    expect(put(b, "f", "more", 4)).toBe(-EPERM);
    expect(put(b, "f", "more", 5)).toBe(4);
    expect(put(b, "f", "more", 5)).toBe(-EPERM);
    expect(letters(b, "f")).toBe("a");
    b.reopen();
    expect(put(b, "f", "x", 0)).toBe(-EPERM);
    expect(put(b, "f", "end", 9)).toBe(3);
    expect(cat(b, "f")).toBe("lowermoreend");
  });

  test("what was written to memory before the flag was set is not lost", () => {
    const b = make([{}], { f: "upper" });
    const node = b.node("f");
    const mapped = (): number => write(b.u, node, Buffer.from("UP"), 0, 2, 0, null, true);
    expect(mapped()).toBe(2);
    expect(set(b, "f", IMMUTABLE)).toBe(0);
    expect(mapped()).toBe(2);
    expect(put(b, "f", "x")).toBe(-EPERM);
    b.reopen();
    expect(write(b.u, b.node("f"), Buffer.from("up"), 0, 2, 0, null, true)).toBe(-EPERM);
    expect(cat(b, "f")).toBe("UPper");
  });

  test("where opens are told, they are refused already", () => {
    const b = make([{}], { i: "", a: "", both: "", n: "" });
    expect([set(b, "i", IMMUTABLE), set(b, "a", APPEND_ONLY), set(b, "both", IMMUTABLE | APPEND_ONLY)]).toEqual([
      0, 0, 0,
    ]);
    const table: Record<string, number[]> = {};
    for (const path of ["n", "i", "a", "both"]) {
      table[path] = [O_RDONLY, O_RDWR, O_RDWR | O_APPEND, O_RDWR | O_APPEND | O_TRUNC, O_RDONLY | O_TRUNC].map(
        (flags) => mayOpen(b.u, b.node(path), flags),
      );
    }
    expect(table).toEqual({
      n: [0, 0, 0, 0, 0],
      i: [0, -EPERM, -EPERM, -EPERM, -EPERM],
      a: [0, -EPERM, 0, -EPERM, -EPERM],
      both: [0, -EPERM, -EPERM, -EPERM, -EPERM],
    });
  });
});

describe("setting flags", () => {
  test("stores what forbids beside, and sets the others on the object", () => {
    const b = make([{ f: "f" }]);
    expect(set(b, "f", IMMUTABLE | APPEND_ONLY | NODUMP)).toBe(0);
    expect(letters(b, "f")).toBe("ai");
    expect(execFileSync("lsattr", [join(b.upper, "f")]).toString()).toMatch(/^[^ia ]*d[^ia ]* /);
    expect(get(b, "f") & (IMMUTABLE | APPEND_ONLY | NODUMP)).toBe(IMMUTABLE | APPEND_ONLY | NODUMP);
    b.reopen();
    expect(protection(b, "f")).toBe(IMMUTABLE | APPEND_ONLY);
    expect(set(b, "f", NODUMP)).toBe(0);
    expect(typeof letters(b, "f")).toBe("number");
    expect(put(b, "f", "F")).toBe(1);
  });

  test("by FS_IOC_FSSETXATTR too", () => {
    const b = make([{ f: "f" }]);
    const node = b.node("f");
    const fsx = new Uint8Array(28);
    expect(getFlags(b.u, node, FS_IOC_FSGETXATTR, fsx)).toBe(28);
    fsx[0] = (fsx[0] as number) | 0x8;
    expect(setFlags(b.u, node, FS_IOC_FSSETXATTR, fsx, root)).toBe(0);
    expect(letters(b, "f")).toBe("i");
    expect(get(b, "f", FS_IOC_FSGETXATTR) & 0x18).toBe(0x8);
    expect(put(b, "f", "F")).toBe(-EPERM);
    fsx[0] = 0x10;
    expect(setFlags(b.u, node, FS_IOC_FSSETXATTR, fsx, root)).toBe(0);
    expect(letters(b, "f")).toBe("a");
  });

  test("is for the owner, and what forbids for whoever has the capability", () => {
    const b = make([{ f: "f" }]);
    const node = b.node("f");
    expect(setattr(b.u, node, { ...nothing, valid: 2, uid: 7 })).toBe(0);
    expect(set(b, "f", NODUMP, { uid: 8, mayProtect: true })).toBe(-EPERM);
    expect(set(b, "f", IMMUTABLE, { uid: 7, mayProtect: false })).toBe(-EPERM);
    expect(set(b, "f", NODUMP, { uid: 7, mayProtect: false })).toBe(0);
    expect(set(b, "f", NODUMP | IMMUTABLE)).toBe(0);
    expect(set(b, "f", NODUMP, { uid: 7, mayProtect: false })).toBe(-EPERM);
    // As on ext4: what stays immutable changes in no other way.
    expect(set(b, "f", IMMUTABLE)).toBe(-EPERM);
    expect(set(b, "f", NODUMP | IMMUTABLE)).toBe(0);
    expect(set(b, "f", 0)).toBe(0);
    expect(setFlags(b.u, node, 0x5401, words(0), root)).toBe(-ENOTTY);
  });

  test("a copy takes along what has a meaning everywhere", () => {
    const b = make([{ f: "f", "d/x": "x" }]);
    chattr(b, ["+dS", "f"], ["+dD", "d"], ["+c", "d/x"]);
    expect(change(b, "f", MODE)).toBe(0);
    expect(mkdir(b.u, b.node("d"), "n", 0o755, 0, cred)).toBeGreaterThan(0);
    expect(get(b, "f") & (NODUMP | SYNC)).toBe(NODUMP | SYNC);
    expect(get(b, "d") & (NODUMP | 0x10000)).toBe(NODUMP | 0x10000);
    b.reopen();
    expect(get(b, "f") & (NODUMP | SYNC)).toBe(NODUMP | SYNC);
  });
});

describe("marks of others", () => {
  test("letters that nobody knows end the list, and a mark in a directory that is not impure means nothing", () => {
    const b = make([{}], { "d/f": "f", "d/g": "g", "d/h": "h", "pure/f": "f" });
    b.change(() => {
      mark(join(b.upper, "d"), "impure", "y");
      mark(join(b.upper, "d/f"), "protattr", "a?i");
      mark(join(b.upper, "d/g"), "protattr", "\0\xff");
      mark(join(b.upper, "d/h"), "protattr", "i".repeat(100));
      mark(join(b.upper, "pure/f"), "protattr", "i");
    });
    expect(protection(b, "d/f")).toBe(APPEND_ONLY);
    expect(protection(b, "d/g")).toBe(0);
    expect(protection(b, "pure/f")).toBe(0);
    expect(put(b, "d/f", "x")).toBe(-EPERM);
    expect(put(b, "d/g", "x")).toBe(1);
    expect(protection(b, "d/h")).toBe(0);
    expect(b.list("d")).toEqual(["f", "g", "h"]);
  });
});

describe("file systems that have no such flags", () => {
  test("are asked once each, and what they say is not believed", () => {
    const b = make([{ a: "a", b: "b", "d/c": "c" }, { e: "e" }]);
    const asked = vi.spyOn(native, "ioctl").mockImplementation(() => -ENOTTY);
    const statx = native.statx.bind(native);
    vi.spyOn(native, "statx").mockImplementation((dirfd, name, mask, into) => {
      const r = statx(dirfd, name, mask, into);
      // erofs: stx_attributes says immutable of everything.
      new Uint32Array(into.buffer, into.byteOffset, into.length >> 2)[2] = IMMUTABLE;
      return r;
    });
    for (const path of ["a", "b", "d", "d/c", "e"]) expect(b.u.table.protection(b.node(path)), path).toBe(0);
    expect(asked).toHaveBeenCalledTimes(1);
    expect(put(b, "a", "A")).toBe(1);
  });

  test("a file system that has them is believed, and asked once too", () => {
    const b = make([{ a: "a", "d/c": "c" }]);
    chattr(b, ["+i", "a"], ["+i", "d/c"]);
    const asked = vi.spyOn(native, "ioctl");
    expect(b.u.table.protection(b.node("a"))).toBe(IMMUTABLE);
    expect(b.u.table.protection(b.node("d/c"))).toBe(IMMUTABLE);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  test("one that cannot be asked is believed: nothing becomes changeable by an error", () => {
    const b = make([{ a: "a" }]);
    chattr(b, ["+i", "a"]);
    vi.spyOn(native, "ioctl").mockImplementation(() => -EROFS);
    expect(b.u.table.protection(b.node("a"))).toBe(IMMUTABLE);
    expect(put(b, "a", "A")).toBe(-EPERM);
  });
});
