/** Marks of the upper and of layer roots: forms that do not occur in every layer, and users' objects that look like them. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { EEXIST, EINVAL, ENOENT, ENOSPC, EPERM } from "../errno.js";
import { S_IFCHR, S_IFMT, S_IFREG } from "../layer/stat.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { mkdir } from "./ops/mkdir.js";
import { mknod } from "./ops/mknod.js";
import { rename } from "./ops/rename.js";
import { rmdir } from "./ops/rmdir.js";
import { unlink } from "./ops/unlink.js";
import { type Bench, make } from "./testing.js";

const cred = { uid: 0, gid: 0 };
const file = (b: Bench, parent: number, name: string) => mknod(b.u, parent, name, S_IFREG | 0o644, 0, 0, 0, cred);

/** mknod(2) of devices is refused, as in some containers. */
function withoutDevices(): void {
  const real = native.mknodAs;
  vi.spyOn(native, "mknodAs").mockImplementation((dirfd, name, mode, ...rest) =>
    (mode & S_IFMT) === S_IFCHR ? -EPERM : real(dirfd, name, mode, ...rest),
  );
}

/** Sets attributes in a layer while it is not in use. */
function mark(b: Bench, path: string, attribute: string, value: string): void {
  b.change(() => execFileSync("setfattr", ["-n", `trusted.overlay.${attribute}`, "-v", value, path]));
}

test("a user's own .wh..wh..opq does not make its directory opaque", () => {
  const b = make([{ "d/a": "x" }]);
  expect(file(b, b.node("d"), ".wh..wh..opq")).toBeGreaterThan(0);
  b.reopen();
  expect(b.list("d")).toEqual([".wh..wh..opq", "a"]);
});

test("with .wh. marks: a mark is not replaced by a user's file of its name", () => {
  withoutDevices();
  const b = make([{ f: "lower" }]);
  b.node("f");
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  expect(b.node("f")).toBe(-ENOENT);
  expect(existsSync(join(b.upper, ".wh.f"))).toBe(true);
  expect(file(b, ROOT, ".wh.f")).toBe(-EEXIST);
  expect(b.node("f")).toBe(-ENOENT);
});

test("with .wh. marks: a name whose mark a user's file has taken cannot be removed", () => {
  withoutDevices();
  const b = make([{ f: "lower" }]);
  expect(file(b, ROOT, ".wh.f")).toBeGreaterThan(0);
  expect(unlink(b.u, ROOT, "f")).toBe(-EPERM);
  expect(b.list("/")).toEqual([".wh.f", "f"]);
});

test("with .wh. marks: nor by a rename", () => {
  withoutDevices();
  const b = make([{ f: "lower" }]);
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  expect(file(b, ROOT, "g")).toBeGreaterThan(0);
  expect(rename(b.u, ROOT, "g", ROOT, ".wh.f", 0)).toBe(-EEXIST);
  expect(b.node("f")).toBe(-ENOENT);
});

test("with .wh. marks: what no mark can hide cannot be removed", () => {
  withoutDevices();
  const b = make([{ ".wh.x": "mine" }]);
  expect(unlink(b.u, ROOT, ".wh.x")).toBe(-EPERM);
  expect(b.list("/")).toEqual([".wh.x"]);
});

test("with .wh. marks: a failed rename of a merged directory leaves its content", () => {
  withoutDevices();
  const b = make([{ "a/low": "1" }]);
  const real = native.rename;
  vi.spyOn(native, "rename").mockImplementation((of, on, nf, nn, flags) =>
    on === "a" ? -ENOSPC : real(of, on, nf, nn, flags),
  );
  expect(rename(b.u, ROOT, "a", ROOT, "b", 0)).toBe(-ENOSPC);
  expect(b.list("a")).toEqual(["low"]);
  b.reopen();
  expect(b.list("a")).toEqual(["low"]);
});

test("with .wh. marks: removal, renames and a reopen", () => {
  withoutDevices();
  const b = make([{ "a/low": "1", "b/x": "2", f: "f", g: "g" }]);
  expect(unlink(b.u, b.node("b"), "x")).toBe(0);
  expect(rmdir(b.u, ROOT, "b")).toBe(0);
  expect(rename(b.u, ROOT, "a", ROOT, "b", 0)).toBe(0);
  expect(b.list("/")).toEqual(["b", "f", "g"]);
  b.reopen();
  expect(b.list("/")).toEqual(["b", "f", "g"]);
  expect(b.list("b")).toEqual(["low"]);
  expect(mkdir(b.u, ROOT, "a", 0o755, 0, cred)).toBeGreaterThan(0);
  expect(rename(b.u, ROOT, "f", ROOT, "g", 0)).toBe(0);
  b.reopen();
  expect(b.list("a")).toEqual([]);
  expect(b.list("/")).toEqual(["a", "b", "g"]);
  expect(rename(b.u, ROOT, "a", ROOT, "b", 2)).toBe(0);
  b.reopen();
  expect(b.list("a")).toEqual(["low"]);
  expect(b.list("b")).toEqual([]);
  expect(rename(b.u, ROOT, "g", ROOT, "h", 4)).toBe(-EINVAL);
  expect(b.list("/")).toEqual(["a", "b", "g"]);
});

test("the marker file makes a layer's root opaque", () => {
  const b = make([{ ".wh..wh..opq": "", a: "1" }, { b: "2" }]);
  expect(b.list("/")).toEqual(["a"]);
});

test("whiteouts by attribute in a layer's root", () => {
  const b = make([{ f: "", g: "" }, { f: "2" }]);
  const layer = b.lowers[0] as string;
  mark(b, layer, "opaque", "x");
  mark(b, join(layer, "f"), "whiteout", "");
  expect(b.list("/")).toEqual(["g"]);
  expect(b.node("f")).toBe(-ENOENT);
});

test("a whiteout by attribute does not move to a directory where it would be a file", () => {
  const b = make([{ "x/t": "below", d: "", "e/": "" }, { "q/y": "" }], { "x/t": "", "x/u": "" });
  mark(b, join(b.upper, "x"), "opaque", "x");
  mark(b, join(b.upper, "x/t"), "whiteout", "");
  expect(b.list("x")).toEqual(["u"]);
  expect(rename(b.u, ROOT, "q", b.node("x"), "t", 0)).toBe(0);
  expect(b.list("x/t")).toEqual(["y"]);
  expect(b.list("/")).toEqual(["d", "e", "x"]);
  expect(b.node("q")).toBe(-ENOENT);
  b.reopen();
  expect(b.list("/")).toEqual(["d", "e", "x"]);
  expect(lstatSync(join(b.upper, "q")).isCharacterDevice()).toBe(true);
});
