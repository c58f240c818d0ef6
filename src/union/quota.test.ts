import { existsSync, lstatSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ENOSPC } from "../errno.js";
import { AT_FDCWD } from "../native/constants.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { forget } from "./ops/forget.js";
import { lookup } from "./ops/lookup.js";
import { mkdir } from "./ops/mkdir.js";
import { mknod } from "./ops/mknod.js";
import { rename } from "./ops/rename.js";
import { rmdir } from "./ops/rmdir.js";
import { noChange, setattr } from "./ops/setattr.js";
import { statfs } from "./ops/statfs.js";
import { symlink } from "./ops/symlink.js";
import { unlink } from "./ops/unlink.js";
import { removexattr, setxattr } from "./ops/xattr.js";
import { type Bench, make, put } from "./testing.js";

const KiB = 1024;
const cred = { uid: 0, gid: 0 };
const block = 4096;

function limited(size: number, upper?: Record<string, string>): Bench {
  const lower = { "dir/file": "x".repeat(5 * block), hole: "", "deep/er/file": "y" };
  return make([lower], upper, { size, metacopy: true });
}

const used = (b: Bench): number => b.u.quota?.used ?? -1;
const create = (b: Bench, name: string): number => mknod(b.u, ROOT, name, 0o100644, 0, 0, 0, cred);
const truncate = (b: Bench, node: number, size: number): number =>
  setattr(b.u, node, { ...noChange(), valid: 1 << 3, size });

describe("what counts", () => {
  test("nothing without a limit", () => {
    expect(make([{ a: "" }]).u.quota).toBeNull();
  });

  test("what the upper has at the mount: each file once, each directory, no hole", () => {
    const b = limited(64 * block, {
      "d/e/a": "a".repeat(5000),
      "d/b": "= d/e/a",
      link: "-> d/b",
      w: "whiteout",
      empty: "",
    });
    expect(used(b)).toBe(2 * block + 2 * block);
    writeFileSync(join(b.upper, "sparse"), "");
    truncateSync(join(b.upper, "sparse"), 1 << 20);
    b.reopen();
    expect(used(b)).toBe(4 * block);
  });

  test("what is written, cut off, removed", () => {
    const b = limited(64 * block);
    const node = create(b, "f");
    expect(used(b)).toBe(0);
    put(b, node, "x", 10 * block);
    expect(used(b)).toBe(block);
    put(b, node, "x".repeat(2 * block));
    expect(used(b)).toBe(3 * block);
    expect(truncate(b, node, block)).toBe(0);
    expect(used(b)).toBe(block);
    expect(unlink(b.u, ROOT, "f")).toBe(0);
    expect(used(b)).toBe(block);
    forget(b.u, node, 1);
    expect(used(b)).toBe(0);
  });

  test("a file with two names until both are gone, and one that another replaces", () => {
    const b = limited(64 * block, { a: "a".repeat(block), b: "= a", c: "c".repeat(block) });
    expect(used(b)).toBe(2 * block);
    expect(unlink(b.u, ROOT, "a")).toBe(0);
    expect(used(b)).toBe(2 * block);
    expect(rename(b.u, ROOT, "c", ROOT, "b", 0)).toBe(0);
    expect(used(b)).toBe(block);
  });

  test("directories that are made, copied up, removed and replaced", () => {
    const b = limited(64 * block);
    expect(mkdir(b.u, ROOT, "new", 0o755, 0, cred)).toBeGreaterThan(0);
    expect(mkdir(b.u, ROOT, "other", 0o755, 0, cred)).toBeGreaterThan(0);
    expect(used(b)).toBe(2 * block);
    expect(rename(b.u, ROOT, "new", ROOT, "other", 0)).toBe(0);
    expect(used(b)).toBe(block);
    expect(rmdir(b.u, ROOT, "other")).toBe(0);
    expect(used(b)).toBe(0);
    expect(unlink(b.u, b.node("deep/er"), "file")).toBe(0);
    expect(used(b)).toBe(2 * block);
    expect(rmdir(b.u, b.node("deep"), "er")).toBe(0);
    expect(used(b)).toBe(block);
  });

  test("a symbolic link and an attribute with the blocks that they need, and none without room", () => {
    const b = limited(16 * block);
    const blocksOf = (name: string): number => lstatSync(join(b.upper, name)).blocks * 512;
    expect(symlink(b.u, ROOT, "link", "t".repeat(2000), cred)).toBeGreaterThan(0);
    expect(used(b)).toBe(blocksOf("link"));
    const node = create(b, "f");
    expect(setxattr(b.u, node, "user.x", Buffer.alloc(2000, "x"), 0, false)).toBe(0);
    const linkBlocks = blocksOf("link");
    const sum = linkBlocks + blocksOf("f");
    expect(used(b)).toBe(sum);
    b.reopen();
    expect(used(b)).toBe(sum);
    put(b, create(b, "full"), "x".repeat(16 * block));
    expect(symlink(b.u, ROOT, "long", "t".repeat(2000), cred)).toBe(-ENOSPC);
    expect(symlink(b.u, ROOT, "short", "t", cred)).toBeGreaterThan(0);
    expect(setxattr(b.u, b.node("full"), "user.x", Buffer.alloc(2000, "x"), 0, false)).toBe(-ENOSPC);
    expect(setxattr(b.u, b.node("full"), "user.x", Buffer.from("x"), 0, false)).toBe(0);
    for (const [length, result] of [
      [2000, 0],
      [1990, 0],
      [2000, -ENOSPC],
    ] as const) {
      expect(setxattr(b.u, b.node("f"), "user.x", Buffer.alloc(length, "y"), 0, false)).toBe(result);
    }
    const before = used(b);
    const dead = b.node("link");
    expect(unlink(b.u, ROOT, "link")).toBe(0);
    forget(b.u, dead, 1);
    expect(used(b)).toBe(before - linkBlocks);
  });

  test("long attributes of a directory, as long as it is there", () => {
    const b = limited(16 * block);
    const long = (length: number) => Buffer.alloc(length, "x");
    const node = mkdir(b.u, ROOT, "d", 0o755, 0, cred);
    expect(setxattr(b.u, node, "user.short", long(100), 0, false)).toBe(0);
    expect(used(b)).toBe(block);
    expect(setxattr(b.u, node, "user.x", long(2000), 0, false)).toBe(0);
    expect(used(b)).toBe(2 * block);
    expect(setxattr(b.u, b.node("deep/er"), "user.x", long(1000), 0, false)).toBe(0);
    expect(used(b)).toBe(5 * block);
    b.reopen();
    expect(used(b)).toBe(5 * block);
    put(b, create(b, "full"), "x".repeat(16 * block));
    expect(setxattr(b.u, b.node("deep"), "user.x", long(1000), 0, false)).toBe(-ENOSPC);
    expect(removexattr(b.u, b.node("d"), "user.x")).toBe(0);
    expect(used(b)).toBe(15 * block);
    expect(setxattr(b.u, b.node("deep"), "user.x", long(1000), 0, false)).toBe(0);
    expect(used(b)).toBe(16 * block);
    const again = b.node("d");
    expect(removexattr(b.u, b.node("deep"), "user.x")).toBe(0);
    expect(setxattr(b.u, again, "user.x", long(1000), 0, false)).toBe(0);
    expect(rmdir(b.u, ROOT, "d")).toBe(0);
    expect(used(b)).toBe(15 * block);
    forget(b.u, again, 100);
    expect(used(b)).toBe(14 * block);
  });

  test("those of a copied directory count for the copy", () => {
    const b = limited(64 * block);
    expect(native.setxattr(AT_FDCWD, join(b.lowers[0] as string, "deep"), "user.x", Buffer.alloc(2000, "x"), 0)).toBe(
      0,
    );
    const node = b.node("deep");
    expect(setattr(b.u, node, { ...noChange(), valid: 1, mode: 0o700 })).toBe(0);
    expect(used(b)).toBe(2 * block);
    expect(removexattr(b.u, node, "user.x")).toBe(0);
    expect(used(b)).toBe(block);
  });

  test("those of a directory that another replaces, whiteouts in it", () => {
    const b = limited(64 * block);
    const node = b.node("deep/er");
    expect(setxattr(b.u, node, "user.x", Buffer.alloc(2000, "x"), 0, false)).toBe(0);
    expect(unlink(b.u, node, "file")).toBe(0);
    expect(mkdir(b.u, ROOT, "new", 0o755, 0, cred)).toBeGreaterThan(0);
    expect(used(b)).toBe(4 * block);
    expect(rename(b.u, ROOT, "new", b.node("deep"), "er", 0)).toBe(0);
    forget(b.u, node, 100);
    expect(used(b)).toBe(2 * block);
    b.reopen();
    expect(used(b)).toBe(2 * block);
  });

  test("those that a new directory inherits", () => {
    const b = limited(64 * block);
    const entry = (tag: number, perm: number, id: number): number[] => [
      tag,
      0,
      perm,
      0,
      ...[0, 8, 16, 24].map((by) => (id >>> by) & 255),
    ];
    const none = 0xffffffff;
    const users = Array.from({ length: 40 }, (_, id) => entry(2, 7, id + 1)).flat();
    const acl = [
      2,
      0,
      0,
      0,
      ...entry(1, 7, none),
      ...users,
      ...entry(4, 5, none),
      ...entry(16, 7, none),
      ...entry(32, 5, none),
    ];
    const above = mkdir(b.u, ROOT, "above", 0o755, 0, cred);
    expect(setxattr(b.u, above, "system.posix_acl_default", Buffer.from(acl), 0, false)).toBe(0);
    expect(mkdir(b.u, above, "below", 0o755, 0, cred)).toBeGreaterThan(0);
    const before = used(b);
    b.reopen();
    expect(used(b)).toBe(before);
  });

  test("a copy when it has its data, whatever it took to come by it", () => {
    const b = limited(64 * block);
    const node = b.node("dir/file");
    expect(setattr(b.u, node, { ...noChange(), valid: 1, mode: 0o600 })).toBe(0);
    expect(used(b)).toBeLessThanOrEqual(2 * block);
    put(b, node, "z");
    const { blocks } = statSync(join(b.upper, "dir/file"));
    expect(used(b)).toBe(block + blocks * 512);
  });
});

describe("what does not fit", () => {
  test("is written as far as it does, and then not at all; what has its blocks is", () => {
    const b = limited(64 * KiB);
    const node = create(b, "f");
    expect(put(b, node, "x".repeat(80 * KiB))).toBe(64 * KiB);
    expect(put(b, node, "x", 64 * KiB)).toBe(-ENOSPC);
    expect(put(b, node, "y".repeat(80 * KiB))).toBe(64 * KiB);
    expect(put(b, node, "y".repeat(8 * KiB), 60 * KiB)).toBe(4 * KiB);
    expect(mkdir(b.u, ROOT, "d", 0o755, 0, cred)).toBe(-ENOSPC);
    expect(create(b, "empty")).toBeGreaterThan(0);
    expect(used(b)).toBe(64 * KiB);
  });

  test("neither is copied: the lower file stays, with nothing in the work directory", () => {
    const b = limited(4 * block);
    const node = b.node("dir/file");
    expect(put(b, node, "z")).toBe(-ENOSPC);
    expect(existsSync(join(b.upper, "dir/file"))).toBe(false);
    expect(readdirSync(join(b.work, "work"))).toEqual([]);
    // Only what is left of it must fit.
    expect(truncate(b, node, 2 * block)).toBe(0);
  });

  test("a job sets aside what it may take, until it has ended", () => {
    const b = limited(8 * block);
    const node = create(b, "f");
    const quota = b.u.quota;
    const fd = b.u.table.descriptor(node) >= 0 ? b.u.table.descriptor(node) : native.openFollow(join(b.upper, "f"), 2);
    expect(quota?.forRange(fd, 0, 0, 6 * block)).toBe(6 * block);
    quota?.begin(7, fd, 6 * block);
    expect(quota?.forRange(fd, 0, 0, 6 * block)).toBe(-ENOSPC);
    expect(quota?.forRange(fd, 0x3, 0, 6 * block)).toBe(0);
    expect(quota?.forWrite(fd, 0, 2 * block)).toBe(2 * block);
    quota?.ended(7);
    expect(quota?.room).toBe(8 * block);
    put(b, node, "x".repeat(6 * block));
    expect(quota?.forWrite(fd, 0, 6 * block)).toBe(0);
    expect(quota?.forWrite(fd, 2 * block, 6 * block)).toBe(2 * block);
  });
});

test("statfs shows the limit, and what is free of it", () => {
  const b = limited(64 * block);
  put(b, create(b, "f"), "x".repeat(3 * block));
  expect(statfs(b.u, ROOT)).toBe(0);
  const view = new DataView(b.u.statfs.buffer);
  const unit = view.getUint32(72, true);
  expect([16, 24, 32].map((at) => view.getUint32(at, true) * unit)).toEqual([64, 61, 61].map((n) => n * block));
});

test("a limit below what there is: said, and nothing can be written, but removed", () => {
  const b = limited(2 * block, { f: "x".repeat(3 * block) });
  expect(b.messages.some((message) => /holds 12288 bytes, more than its size of 8192/.test(message))).toBe(true);
  expect(put(b, create(b, "g"), "x")).toBe(-ENOSPC);
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  forget(b.u, lookup(b.u, ROOT, "g"), 1);
  expect(put(b, b.node("g"), "x")).toBe(1);
});
