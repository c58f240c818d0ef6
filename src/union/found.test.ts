import { expect, test, vi } from "vitest";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { forget } from "./ops/forget.js";
import { getattr } from "./ops/getattr.js";
import { lookup } from "./ops/lookup.js";
import { type Bench, cat, make } from "./testing.js";

/** How many descriptors were opened from now on and are not closed. */
function watchOpen(): () => number {
  const opens = [vi.spyOn(native, "open"), vi.spyOn(native, "openBeneath")];
  const closes = vi.spyOn(native, "close");
  const opened = (): number =>
    opens.flatMap(({ mock }) => mock.results).filter(({ value }) => Number(value) >= 0).length;
  return () => opened() - closes.mock.results.length;
}

function links(b: Bench, path: string): number {
  expect(getattr(b.u, b.node(path))).toBe(0);
  return b.u.stat.nlink;
}

test("a directory whose name nothing below has is not asked for a marker file, nor for a whiteout beside it", () => {
  const b = make([{ "d/alone/x": "1", "d/both/x": "1" }, { "d/both/y": "2", "d/z": "3" }, { other: "4" }]);
  expect(links(b, "d")).toBe(4);
  const stats = vi.spyOn(native, "statx");
  expect(lookup(b.u, b.node("d"), "alone")).toBeGreaterThan(0);
  expect(stats.mock.calls.filter(([, name]) => name.includes(".wh."))).toEqual([]);
  expect(lookup(b.u, b.node("d"), "both")).toBeGreaterThan(0);
  expect(stats.mock.calls.filter(([, name]) => name.includes(".wh.")).length).toBe(1);
  expect(b.list("d/both")).toEqual(["x", "y"]);
});

test("a marker file beside a redirect hides what the redirect leads to", () => {
  const b = make([
    {
      "d/moved/": "redirect /d/old",
      "d/moved/x": "1",
      "d/moved/.wh..wh..opq": "",
      "d/too/": "redirect old",
      "d/too/x": "1",
    },
    { "d/old/y": "2" },
  ]);
  expect(b.list("d/moved")).toEqual(["x"]);
  expect(b.list("d/too")).toEqual(["x", "y"]);
  expect(cat(b, "d/too/y")).toBe("2");
});

test("parts that a search has read stay open for the directory, and are closed with it", () => {
  const b = make([{ "d/a": "1" }, { "d/b": "2" }, { "d/c": "3" }], { "d/u": "4" });
  expect(lookup(b.u, ROOT, "missing")).toBeLessThan(0);
  const open = watchOpen();
  const d = lookup(b.u, ROOT, "d");
  expect(open()).toBe(4);
  expect(b.list("d")).toEqual(["a", "b", "c", "u"]);
  expect(cat(b, "d/c")).toBe("3");
  for (const node of [b.node("d/c"), d]) forget(b.u, node, 100);
  expect(b.u.table.isAlive(d)).toBe(false);
  expect(open()).toBe(0);
});

test("a search whose result nobody takes leaves nothing open", () => {
  const b = make([
    { "d/a": "1", "d/bad/": "redirect ../x" },
    { "d/b": "2", "d/bad/y": "" },
  ]);
  expect(links(b, "d")).toBe(3);
  const open = watchOpen();
  for (let i = 0; i < 20; i++) expect(lookup(b.u, b.node("d"), "bad")).toBeLessThan(0);
  expect(lookup(b.u, b.node("d"), "nowhere")).toBeLessThan(0);
  expect(open()).toBe(0);
});
