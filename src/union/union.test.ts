import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ENOENT, ENOTEMPTY } from "../errno.js";
import { S_IFREG } from "../layer/stat.js";
import { ROOT } from "./node-table.js";
import { forget } from "./ops/forget.js";
import { getattr } from "./ops/getattr.js";
import { link } from "./ops/link.js";
import { lookup } from "./ops/lookup.js";
import { mkdir } from "./ops/mkdir.js";
import { mknod } from "./ops/mknod.js";
import { rename } from "./ops/rename.js";
import { rmdir } from "./ops/rmdir.js";
import { noChange, setattr } from "./ops/setattr.js";
import { unlink } from "./ops/unlink.js";
import { content, type LayerTree, make, put } from "./testing.js";

const nothing = noChange();
const cred = { uid: 0, gid: 0 };
test("layers merge top-down", () => {
  const b = make([
    { "d/a": "top", gone: "whiteout" },
    { "d/a": "below", "d/b": "b", gone: "x", "e/": "" },
  ]);
  expect(b.list("/")).toEqual(["d", "e"]);
  expect(b.list("d")).toEqual(["a", "b"]);
  expect(content(b, b.node("d/a"))).toBe("top");
  expect(b.node("gone")).toBe(-ENOENT);
});

test("aufs marks hide names below, never beside themselves", () => {
  const b = make([
    { "d/.wh.b": "", "d/c": "here", "d/.wh.c": "", "o/.wh..wh..opq": "", "o/new": "" },
    { "d/a": "", "d/b": "", "d/c": "below", "o/old": "" },
  ]);
  expect(b.list("d")).toEqual(["a", "c"]);
  expect(b.list("o")).toEqual(["new"]);
  expect(content(b, b.node("d/c"))).toBe("here");
  expect(b.node("d/.wh.b")).toBe(-ENOENT);
  expect(b.node("o/old")).toBe(-ENOENT);
});

test("the first write copies up and keeps the number; the lower stays", () => {
  const b = make([{ "d/a": "lower" }]);
  const before = b.ino("d/a");
  expect(put(b, b.node("d/a"), "X")).toBe(1);
  expect(content(b, b.node("d/a"))).toBe("Xower");
  expect(b.ino("d/a")).toBe(before);
  expect(readFileSync(join(b.upper, "d/a"), "latin1")).toBe("Xower");
  expect(readFileSync(join(b.lowers[0] as string, "d/a"), "latin1")).toBe("lower");
  b.reopen();
  expect(content(b, b.node("d/a"))).toBe("Xower");
});

test("unlink of a lower file leaves a whiteout and serves those who have it open", () => {
  const b = make([{ "d/a": "lower" }]);
  const node = b.node("d/a");
  expect(unlink(b.u, b.node("d"), "a")).toBe(0);
  expect(b.list("d")).toEqual([]);
  expect(content(b, node)).toBe("lower");
  expect(getattr(b.u, node)).toBe(0);
  expect(b.u.stat.nlink).toBe(0);
  expect(put(b, node, "written")).toBe(7);
  expect(content(b, node)).toBe("written");
  expect(existsSync(join(b.upper, "d/a"))).toBe(true);
  expect(lstatSync(join(b.upper, "d/a")).isCharacterDevice()).toBe(true);
  forget(b.u, node, 1);
  expect(b.u.table.isAlive(node)).toBe(false);
  b.reopen();
  expect(b.node("d/a")).toBe(-ENOENT);
});

test("rename over a lower file, then unlink: gone for good", () => {
  const b = make([{ f: "lower" }]);
  const made = mknod(b.u, ROOT, "tmp", S_IFREG | 0o644, 0, 0, 0, cred);
  put(b, made, "new");
  expect(lookup(b.u, ROOT, "f")).toBeGreaterThan(0);
  expect(rename(b.u, ROOT, "tmp", ROOT, "f", 0)).toBe(0);
  expect(content(b, b.node("f"))).toBe("new");
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  expect(b.node("f")).toBe(-ENOENT);
  b.reopen();
  expect(b.node("f")).toBe(-ENOENT);
  expect(b.list("/")).toEqual([]);
});

test("rm -rf d; mkdir d shows an empty d", () => {
  const b = make([{ "d/a": "", "d/s/b": "" }]);
  expect(rmdir(b.u, ROOT, "d")).toBe(-ENOTEMPTY);
  expect(unlink(b.u, b.node("d/s"), "b")).toBe(0);
  expect(rmdir(b.u, b.node("d"), "s")).toBe(0);
  expect(unlink(b.u, b.node("d"), "a")).toBe(0);
  expect(rmdir(b.u, ROOT, "d")).toBe(0);
  expect(b.list("/")).toEqual([]);
  expect(mkdir(b.u, ROOT, "d", 0o755, 0o022, cred)).toBeGreaterThan(0);
  expect(b.list("d")).toEqual([]);
  b.reopen();
  expect(b.list("d")).toEqual([]);
});

test("a renamed lower directory keeps its content, across renames and a reopen", () => {
  const b = make([{ "a/top": "1" }, { "a/low": "2", "a/s/x": "3" }]);
  const inside = b.node("a/s/x");
  expect(rename(b.u, ROOT, "a", ROOT, "b", 0)).toBe(0);
  expect(b.node("a")).toBe(-ENOENT);
  expect(b.list("b")).toEqual(["low", "s", "top"]);
  expect(b.node("b/s/x")).toBe(inside);
  expect(put(b, inside, "new")).toBe(3);
  expect(mkdir(b.u, ROOT, "a", 0o755, 0, cred)).toBeGreaterThan(0);
  expect(b.list("a")).toEqual([]);
  expect(rename(b.u, ROOT, "b", b.node("a"), "c", 0)).toBe(0);
  expect(rename(b.u, b.node("a/c"), "s", ROOT, "s2", 0)).toBe(0);
  b.reopen();
  expect(b.list("/")).toEqual(["a", "s2"]);
  expect(b.list("a")).toEqual(["c"]);
  expect(b.list("a/c")).toEqual(["low", "top"]);
  expect(content(b, b.node("s2/x"))).toBe("new");
});

test("exchange of two lower directories", () => {
  const b = make([{ "a/1": "", "b/2": "" }]);
  b.node("a");
  b.node("b");
  expect(rename(b.u, ROOT, "a", ROOT, "b", 2)).toBe(0);
  expect(b.list("a")).toEqual(["2"]);
  expect(b.list("b")).toEqual(["1"]);
  b.reopen();
  expect(b.list("a")).toEqual(["2"]);
  expect(b.list("b")).toEqual(["1"]);
});

test("hard links are one node, also after forgetting", () => {
  const b = make([{ f: "lower" }]);
  const node = b.node("f");
  expect(link(b.u, node, ROOT, "g")).toBe(node);
  expect(b.u.stat.nlink).toBe(2);
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  expect(b.node("g")).toBe(node);
  expect(getattr(b.u, node)).toBe(0);
  expect(b.u.stat.nlink).toBe(1);
  b.reopen();
  expect(content(b, b.node("g"))).toBe("lower");
  expect(b.node("f")).toBe(-ENOENT);
});

test("a user's own .wh. names are files", () => {
  const b = make([{ f: "lower" }]);
  expect(mknod(b.u, ROOT, ".wh.f", S_IFREG | 0o644, 0, 0, 0, cred)).toBeGreaterThan(0);
  expect(b.list("/")).toEqual([".wh.f", "f"]);
  b.reopen();
  expect(b.list("/")).toEqual([".wh.f", "f"]);
  expect(unlink(b.u, ROOT, ".wh.f")).toBe(0);
  expect(b.list("/")).toEqual(["f"]);
});

test("a redirect through a directory that a lower layer has redirected itself", () => {
  const lowers: LayerTree[] = [
    { "a/d": "whiteout", "a/e/d/": "redirect /a/d" },
    { "a/d/pop/b": "b", "a/e/": "" },
  ];
  const b = make(lowers);
  expect(b.list("a/e/d/pop")).toEqual(["b"]);
  expect(rename(b.u, b.node("a/e/d"), "pop", b.node("a/e"), "pop", 0)).toBe(0);
  expect(b.list("a/e/pop")).toEqual(["b"]);
  b.reopen();
  expect(b.list("a/e/pop")).toEqual(["b"]);
});

test("creating a name never removes a user's own .wh. file of that name, nor its whiteout", () => {
  const b = make([{ ".wh.a": "mine", "d/.wh.b": "mine too" }]);
  expect(mknod(b.u, ROOT, "a", S_IFREG | 0o644, 0, 0, 0, cred)).toBeGreaterThan(0);
  expect(content(b, b.node(".wh.a"))).toBe("mine");
  const d = b.node("d");
  expect(unlink(b.u, d, ".wh.b")).toBe(0);
  expect(mknod(b.u, d, "b", S_IFREG | 0o644, 0, 0, 0, cred)).toBeGreaterThan(0);
  expect(rename(b.u, ROOT, "a", d, "b", 0)).toBe(0);
  b.reopen();
  expect(b.list("/")).toEqual([".wh.a", "d"]);
  expect(b.list("d")).toEqual(["b"]);
});

test("hard links of a lower file stay one file over copy-up, unlink and a reopen", () => {
  const b = make([{ "d/a": "lower", "d/b": "= d/a", "e/c": "= d/a" }]);
  const node = b.node("d/a");
  const ino = b.ino("d/a");
  expect(b.node("d/b")).toBe(node);
  expect(put(b, b.node("e/c"), "W")).toBe(1);
  for (const name of ["d/a", "d/b", "e/c"]) expect(content(b, b.node(name))).toBe("Wower");
  expect(getattr(b.u, node)).toBe(0);
  expect(b.u.stat.nlink).toBe(3);
  expect(b.ino("e/c")).toBe(ino);
  b.reopen();
  for (const name of ["d/b", "e/c", "d/a"]) expect(content(b, b.node(name))).toBe("Wower");
  expect(unlink(b.u, b.node("d"), "a")).toBe(0);
  expect(getattr(b.u, b.node("d/b"))).toBe(0);
  expect(b.u.stat.nlink).toBe(2);
  expect(link(b.u, b.node("d/b"), ROOT, "x")).toBe(b.node("e/c"));
  expect(rename(b.u, b.node("d"), "b", ROOT, "x", 0)).toBe(0);
  expect(b.list("d")).toEqual(["b"]);
  b.reopen();
  expect(getattr(b.u, b.node("x"))).toBe(0);
  expect(b.u.stat.nlink).toBe(3);
  for (const [dir, name] of [
    ["d", "b"],
    ["e", "c"],
    ["", "x"],
  ] as const) {
    expect(content(b, b.node(`${dir}/${name}`))).toBe("Wower");
    expect(unlink(b.u, b.node(dir), name)).toBe(0);
  }
  b.reopen();
  expect(b.list("/")).toEqual(["d", "e"]);
  expect(readdirSync(join(b.work, "index"))).toEqual([]);
});

test("an unlinked name of a lower file leaves its other names, and writes through the open file reach them", () => {
  const b = make([{ a: "lower", b: "= a" }]);
  const node = b.node("a");
  expect(unlink(b.u, ROOT, "a")).toBe(0);
  expect(getattr(b.u, node)).toBe(0);
  expect(b.u.stat.nlink).toBe(1);
  expect(put(b, node, "W")).toBe(1);
  expect(b.node("b")).toBe(node);
  expect(content(b, b.node("b"))).toBe("Wower");
  b.reopen();
  expect(content(b, b.node("b"))).toBe("Wower");
});

test("a user's .wh. file from a lower layer survives losing its content", () => {
  const b = make([{ ".wh.a": "mine", a: "shown" }]);
  expect(setattr(b.u, b.node(".wh.a"), { ...nothing, valid: 8 })).toBe(0);
  b.reopen();
  expect(b.list("/")).toEqual([".wh.a", "a"]);
  expect(content(b, b.node(".wh.a"))).toBe("");
});

test("forgetting a file with two names in one directory frees the directory once", () => {
  const b = make([{ "d/a": "x", "d/b": "= d/a", "e/": "", "f/": "" }]);
  const node = b.node("d/a");
  expect(b.node("d/b")).toBe(node);
  const d = b.node("d");
  forget(b.u, d, 3);
  forget(b.u, node, 2);
  expect(b.u.table.isAlive(d)).toBe(false);
  expect(b.node("e")).not.toBe(b.node("f"));
});
