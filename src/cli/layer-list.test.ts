import { expect, test } from "vitest";
import { UsageError } from "./exit.js";
import { splitLayers, splitUnescaped, unescapeAll } from "./layer-list.js";

test.each([
  ["a", ["a"]],
  ["/l1:/l2:l3", ["/l1", "/l2", "l3"]],
  ["/a\\:b:/c", ["/a:b", "/c"]],
  ["/a\\\\:/c", ["/a\\", "/c"]],
  ["/a\\b", ["/a\\b"]],
  ["/ends\\", ["/ends\\"]],
  ["/\xc3\xa9\xff:/b", ["/\xc3\xa9\xff", "/b"]],
])("splits the layers of %s", (list, layers) => {
  expect(splitLayers(list)).toEqual({ lowers: layers, data: [] });
});

test.each([
  ["a::d", ["a"], ["d"]],
  ["a:b::d\\:1::d2", ["a", "b"], ["d:1", "d2"]],
])("layers of %s that only hold data", (list, lowers, data) => {
  expect(splitLayers(list)).toEqual({ lowers, data });
});

test.each(["a::d:b", "a::d:b::c"])("refuses an ordinary layer after one that only holds data: %j", (list) => {
  expect(() => splitLayers(list)).toThrow("only holds data");
});

test.each(["", ":", "a:", ":a", "::", "::d", "a::", "a:::d", "a::::d"])("refuses an empty layer: %j", (list) => {
  expect(() => splitLayers(list)).toThrow(UsageError);
});

test("splits at separators without a backslash only", () => {
  expect(splitUnescaped("a\\,b,c\\\\,d", ",")).toEqual(["a\\,b", "c\\\\", "d"]);
});

test("a backslash stands for the next character", () => {
  expect(unescapeAll("a\\:b\\\\c\\ d\\")).toBe("a:b\\c d\\");
});
