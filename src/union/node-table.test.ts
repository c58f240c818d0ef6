import { expect, test } from "vitest";
import { ENOENT } from "../errno.js";
import { NodeTable, ROOT } from "./node-table.js";

const FILE = 8;

/** A name of so many bytes, some of them not ASCII, that ends in `tag`. */
const name = (length: number, tag: string): string => tag.padStart(length, "\xff\x80a");

test("names of all lengths are found, through growth, renaming, aliases and reuse of what was given back", () => {
  const table = new NodeTable();
  table.addRoot(4, 0);
  const add = (text: string): number => {
    const node = table.add(FILE, 1);
    table.addName(node, ROOT, text);
    return node;
  };
  const known = new Map<string, number>();
  for (let round = 0; round < 60; round++) {
    for (let length = 4; length <= 255; length++) {
      const text = name(length, `${1000 + round}`);
      if (length === 4 || length % (round + 1) === 0) known.set(text, add(text));
    }
  }
  for (const [text, node] of known) {
    expect(table.find(ROOT, text)).toBe(node);
    expect(table.name(node)).toBe(text);
  }
  // Each second one goes; another of the same length takes its place.
  const all = [...known];
  for (const [i, [text, node]] of all.entries()) {
    if (i % 2 === 1) continue;
    table.removeName(node, ROOT, text);
    table.remove(node);
    known.delete(text);
    const next = `b${text.slice(1)}`;
    known.set(next, add(next));
  }
  for (const [text, node] of known) expect(table.find(ROOT, text)).toBe(node);
  for (const [i, [text]] of all.entries()) expect(table.find(ROOT, text)).toBe(i % 2 === 1 ? known.get(text) : -ENOENT);
});

test("an alias takes the place of a primary name that goes", () => {
  const table = new NodeTable();
  table.addRoot(4, 0);
  const node = table.add(FILE, 1);
  table.addName(node, ROOT, "a");
  table.addName(node, ROOT, "another name");
  table.removeName(node, ROOT, "a");
  expect(table.name(node)).toBe("another name");
  expect(table.find(ROOT, "another name")).toBe(node);
  expect(table.find(ROOT, "a")).toBe(-ENOENT);
  table.removeName(node, ROOT, "another name");
  expect(table.isNameless(node)).toBe(true);
  expect(table.find(ROOT, "another name")).toBe(-ENOENT);
});

test("more rows than fit into a chunk are found while buckets split, and when some have gone; numbers keep all their bits", () => {
  const table = new NodeTable();
  table.addRoot(4, 0);
  const nodes = Array.from({ length: 40_000 }, (_, i) => {
    const node = table.add(i % 7, i % 500);
    table.addName(node, ROOT, `n${i}`);
    table.setIno(node, 0xffffffff - i, 0x80000000 + i);
    return node;
  });
  for (const [i, node] of nodes.entries()) {
    if (i % 3 !== 0) continue;
    table.removeName(node, ROOT, `n${i}`);
    table.remove(node);
  }
  const wrong = nodes.filter((node, i) => {
    if (i % 3 === 0) return table.find(ROOT, `n${i}`) !== -ENOENT;
    return (
      table.find(ROOT, `n${i}`) !== node ||
      table.type(node) !== i % 7 ||
      table.layer(node) !== i % 500 ||
      table.inoLow(node) !== 0xffffffff - i ||
      table.inoHigh(node) !== 0x80000000 + i
    );
  });
  expect(wrong).toEqual([]);
  expect(table.isAlive(nodes[0] as number)).toBe(false);
  expect(table.isAlive(1e7)).toBe(false);
  expect(table.isAlive(2 ** 32 + ROOT)).toBe(false);
  expect(table.isAlive(Number.NaN)).toBe(false);
  expect(table.protection(1e7)).toBe(0);
});

test("a lookup count may pass 32 bits", () => {
  const table = new NodeTable();
  table.addRoot(4, 0);
  const node = table.add(FILE, 1);
  expect(table.hasLookups(node)).toBe(false);
  for (let i = 0; i < 3; i++) table.addLookup(node);
  expect(table.dropLookups(node, -(2 ** 32))).toBe(2 ** 32 + 3);
  expect(table.dropLookups(node, 4)).toBe(2 ** 32 - 1);
  table.addLookup(node);
  expect(table.hasLookups(node)).toBe(true);
  expect(table.dropLookups(node, 2 ** 32)).toBe(0);
  expect(table.hasLookups(node)).toBe(false);
  expect(table.dropLookups(node, 5)).toBe(0);
  table.addLookup(node);
  expect(table.dropLookups(node, Number.NaN)).toBe(0);
});
