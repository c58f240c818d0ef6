import { expect, test } from "vitest";
import { misfit, type Shape } from "./shape.js";

const shape: Shape = {
  name: "string",
  list: ["number"],
  each: { "*": "string" },
  inner: [{ on: "boolean", any: "object" }],
};

test.each([
  [{ name: "x", list: [1, 2], each: { a: "b" }, inner: [{ on: true, any: {} }], other: 7 }, undefined],
  [{ name: null }, undefined],
  [{ name: 7 }, "name"],
  [{ list: { 0: 1 } }, "list"],
  [{ list: [1, "2"] }, "list[1]"],
  [{ list: [null] }, "list[0]"],
  [{ each: { a: 1 } }, "each.a"],
  [{ inner: [{ on: "yes" }] }, "inner[0].on"],
  [{ inner: [{ any: [] }] }, "inner[0].any"],
  [[], "content"],
  ["text", "content"],
  [JSON.parse('{"__proto__": 1, "name": "x"}'), undefined],
])("%j", (value, where) => {
  expect(misfit(value, shape)).toBe(where);
});
