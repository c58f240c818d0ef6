import { expect, test } from "vitest";
import { RawListing } from "../layer/listing.js";
import { newPart, type Part } from "./directory.js";
import { KeptLists } from "./kept-lists.js";

function listing(names: number): RawListing {
  const list = new RawListing();
  for (let k = 0; k < names; k++) list.names.push(`${k}`);
  return list;
}

test("lists without names are not kept for ever, and the oldest go first", () => {
  const kept = new KeptLists();
  const parts: Part[] = [];
  for (let k = 0; k < 10_000; k++) {
    const part = newPart(1, null);
    parts.push(part);
    kept.keep(part, listing(0));
  }
  expect(kept.take(parts[0] as Part)).toBeUndefined();
  expect(kept.take(parts[9999] as Part)).toBeDefined();
  expect(kept.take(parts[9999] as Part)).toBeUndefined();
  kept.keep(parts[0] as Part, listing(8000));
  expect(kept.take(parts[9000] as Part)).toBeUndefined();
  expect(kept.take(parts[0] as Part)?.names.length).toBe(8000);
});

test("neither are lists of the upper, nor such as are too long", () => {
  const kept = new KeptLists();
  const upper = newPart(0, null);
  const lower = newPart(1, null);
  kept.keep(upper, listing(1));
  kept.keep(lower, listing(10_000));
  expect(kept.take(upper)).toBeUndefined();
  expect(kept.take(lower)).toBeUndefined();
});
