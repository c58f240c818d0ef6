import { expect, test, vi } from "vitest";
import { ENOENT } from "../errno.js";
import { native } from "../native/index.js";
import { getattr } from "./ops/getattr.js";
import { type Bench, cat, type LayerTree, make } from "./testing.js";

/** Two names of one hash. */
const one = "n3pvu";
const other = "ne3ea";

function links(b: Bench, path: string): number {
  expect(getattr(b.u, b.node(path))).toBe(0);
  return b.u.stat.nlink;
}

test("names of one hash are told apart", () => {
  const b = make([
    { [`d/${one}`]: "file", "d/sub/": "" },
    { [`d/${other}/x`]: "x", [`d/${one}/hidden`]: "" },
    { [`d/${other}/y`]: "y", [`d/${one}`]: "lowest" },
  ]);
  expect(cat(b, `d/${one}`)).toBe("file");
  expect(b.list(`d/${other}`)).toEqual(["x", "y"]);
  expect(b.node(`d/${other}/z`)).toBe(-ENOENT);
  expect(b.list("d")).toEqual([one, other, "sub"]);
  expect(links(b, "d")).toBe(4);
});

test("a merged directory counts the subdirectories that it shows, through whiteouts and opaque directories", () => {
  const b = make(
    [
      { "d/a/1": "", "d/gone": "whiteout", "d/o/": "opaque", "d/o/new/": "" },
      { "d/a/2": "", "d/gone/x": "", "d/b/": "", "d/o/old/": "" },
      { "d/a/3": "", "d/gone/y": "", "d/b/3": "", "d/c": "a file", "d/.wh.e": "" },
      { "d/c/": "", "d/e/": "", "d/f/": "" },
    ],
    { "d/u/": "", "d/f": "of the upper" },
  );
  expect(b.list("d")).toEqual(["a", "b", "c", "f", "o", "u"]);
  expect(links(b, "d")).toBe(6);
  expect(links(b, "d/o")).toBe(3);
  expect(b.list("d/a")).toEqual(["1", "2", "3"]);
  expect(b.node("d/e")).toBe(-ENOENT);
  expect(cat(b, "d/f")).toBe("of the upper");
});

test("in many layers a name that is nowhere costs no system call, and one that is there asks its layer only", () => {
  const layers = Array.from({ length: 30 }, (_, i): LayerTree => ({ [`d/f${i}`]: `${i}` }));
  const b = make(layers);
  expect(b.node("d/f0")).toBeGreaterThan(0);
  const stats = vi.spyOn(native, "statx");
  const opens = vi.spyOn(native, "open");
  for (let i = 0; i < 10; i++) expect(b.node(`d/missing${i}`)).toBe(-ENOENT);
  // Those for `d` itself, which each path is looked up through.
  expect(stats.mock.calls.filter(([, name]) => name !== "" && name !== "d")).toEqual([]);
  expect(opens).not.toHaveBeenCalled();
  stats.mockClear();
  expect(cat(b, "d/f29")).toBe("29");
  expect(stats.mock.calls.filter(([, name]) => name === "f29").length).toBe(1);
});
