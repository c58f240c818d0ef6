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
  expect(splitLayers(list)).toEqual(layers);
});

test.each(["", ":", "a:", ":a", "a::b"])("refuses an empty layer: %j", (list) => {
  expect(() => splitLayers(list)).toThrow(UsageError);
});

test("splits at separators without a backslash only", () => {
  expect(splitUnescaped("a\\,b,c\\\\,d", ",")).toEqual(["a\\,b", "c\\\\", "d"]);
});

test("a backslash stands for the next character", () => {
  expect(unescapeAll("a\\:b\\\\c\\ d\\")).toBe("a:b\\c d\\");
});
