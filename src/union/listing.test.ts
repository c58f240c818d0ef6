import { expect, test, vi } from "vitest";
import { ENOENT } from "../errno.js";
import { S_IFREG } from "../layer/stat.js";
import { native } from "../native/index.js";
import { forget } from "./ops/forget.js";
import { getattr } from "./ops/getattr.js";
import { mknod } from "./ops/mknod.js";
import { opendir } from "./ops/opendir.js";
import { type DirSink, readdir } from "./ops/readdir.js";
import { unlink } from "./ops/unlink.js";
import { type Bench, content, make, put } from "./testing.js";

const cred = { uid: 0, gid: 0 };
const file = (b: Bench, parent: number, name: string) => mknod(b.u, parent, name, S_IFREG | 0o644, 0, 0, 0, cred);

test("an entry that was copied up and forgotten is not looked up below by an older listing", () => {
  const b = make([{ "d/f": "lower", "d/s/x": "1" }], { "d/": "" });
  const d = b.node("d");
  const h = opendir(b.u, d);
  const nodes = new Map<string, number>();
  const sink: DirSink = { fits: () => true, add: (name, _t, _l, _h, _n, node) => void nodes.set(name, node) };
  expect(readdir(b.u, h, 0, true, sink)).toBe(0);
  const f = nodes.get("f") as number;
  const s = nodes.get("s") as number;
  expect(put(b, f, "UPPER")).toBe(5);
  expect(file(b, s, "new")).toBeGreaterThan(0);
  forget(b.u, b.node("d/s/new"), 2);
  forget(b.u, f, 10);
  forget(b.u, s, 10);
  expect(b.u.table.isAlive(f)).toBe(false);
  expect(b.u.table.isAlive(s)).toBe(false);
  expect(readdir(b.u, h, 0, true, sink)).toBe(0);
  expect(content(b, nodes.get("f") as number)).toBe("UPPER");
  expect(b.list("d/s")).toEqual(["new", "x"]);
});

/** The offsets after the names of a directory, in the order in which they are listed. */
function offsets(b: Bench, directory: number): Map<string, number> {
  const told = new Map<string, number>();
  const sink: DirSink = { fits: () => true, add: (name, _t, _l, _h, next) => void told.set(name, next) };
  expect(readdir(b.u, opendir(b.u, directory), 2, false, sink)).toBe(0);
  return told;
}

/** Pairs of names whose offsets differ in their lowest bits only, the lower one first. */
const close = ["n764 ntef", "n1c4 n184e", "n2kjr nmje", "n2urq ngmj"].map(
  (pair) => pair.split(" ") as [string, string],
);

test("names of nearly one offset are in the order of their offsets, whatever the order of the layer, and keep them", () => {
  const names = [...Array.from({ length: 50 }, (_, i) => `other${i}`), ...close.flat()];
  const b = make([Object.fromEntries(names.map((name) => [`d/${name}`, name]))]);
  const d = b.node("d");
  const before = offsets(b, d);
  expect([...before.keys()].sort()).toEqual(names.sort());
  const inOrder = [...before.values()];
  for (let k = 1; k < inOrder.length; k++) expect(inOrder[k]).toBeGreaterThan(inOrder[k - 1] as number);
  for (const [lower, higher] of close) {
    expect((before.get(higher) as number) - (before.get(lower) as number)).toBeLessThan(2 ** 21);
    expect(b.node(`d/${lower}`)).toBeGreaterThan(0);
    expect(unlink(b.u, d, lower)).toBe(0);
  }
  const after = offsets(b, d);
  expect(after.size).toBe(names.length - close.length);
  for (const [name, offset] of after) expect(offset).toBe(before.get(name));
});

test("a merged directory that was found is listed without reading its lower parts once more, and its upper part always", () => {
  const b = make(
    [
      { "d/a": "1", "d/s/": "" },
      { "d/b": "2", "d/a": "hidden" },
    ],
    { "d/u": "3" },
  );
  // For the root's own listings.
  expect(b.node("missing")).toBe(-ENOENT);
  const reads = vi.spyOn(native, "getdents");
  const d = b.node("d");
  expect(getattr(b.u, d)).toBe(0);
  expect(b.u.stat.nlink).toBe(3);
  expect(reads.mock.calls.length).toBe(6);
  expect(file(b, d, "new")).toBeGreaterThan(0);
  reads.mockClear();
  expect([...offsets(b, d).keys()].sort()).toEqual(["a", "b", "new", "s", "u"]);
  expect(reads.mock.calls.length).toBe(2);
  expect([...offsets(b, d).keys()].sort()).toEqual(["a", "b", "new", "s", "u"]);
  expect(reads.mock.calls.length).toBe(8);
});
