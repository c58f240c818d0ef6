import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { rename } from "./ops/rename.js";
import { unlink } from "./ops/unlink.js";
import { type LayerTree, make } from "./testing.js";

test("the descriptors of both ends of a rename are good however deep the ends are and however many files are pinned", () => {
  const deep = (top: string) => `${top}/d`.padEnd(100, "/d");
  const upper: LayerTree = { [`${deep("a")}/f`]: "x", [`${deep("b")}/`]: "" };
  for (let i = 0; i < 40; i++) upper[`pin${i}`] = "";
  // Room for 47 descriptors.
  vi.spyOn(native, "raiseFileLimit").mockReturnValue(150);
  const bench = make([{}], upper);
  const { u } = bench;
  const to = bench.node(deep("b"));
  const from = bench.node(deep("a"));
  expect(bench.node(`${deep("a")}/f`)).toBeGreaterThan(0);
  for (let i = 0; i < 40; i++) {
    expect(bench.node(`pin${i}`)).toBeGreaterThan(0);
    expect(unlink(u, ROOT, `pin${i}`)).toBe(0);
  }
  expect(rename(u, from, "f", to, "g", 0)).toBe(0);
  expect(readdirSync(join(bench.upper, deep("b")))).toEqual(["g"]);
});
