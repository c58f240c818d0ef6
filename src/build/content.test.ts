import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkUnchanged, readContent } from "./content.js";
import { SourceTree } from "./source-tree.js";

let path: string;
let tree: SourceTree;

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "cowfs-content-"));
  mkdirSync(join(path, "dir"));
  writeFileSync(join(path, "dir/file"), "first");
  tree = new SourceTree(path, { what: "the build context", isClosed: true });
});

afterEach(() => {
  tree.close();
  rmSync(path, { recursive: true });
});

test("what changes after it was read is noticed, what appears beside it does not matter", async () => {
  const { paths } = await readContent(tree, "", false);
  expect([...paths.keys()].sort()).toEqual(["", "dir", "dir/file"]);
  writeFileSync(join(path, "dir/build.log"), "new");
  expect(() => checkUnchanged(tree, "", paths)).not.toThrow();
  writeFileSync(join(path, "dir/file"), "another");
  expect(() => checkUnchanged(tree, "", paths)).toThrow(
    "dir/file in the build context was changed while it was copied: build again",
  );
});

test.runIf(process.getuid?.() === 0)("owners are part of the digest only if they count", async () => {
  const digests = async () => [
    (await readContent(tree, "dir", false)).digest,
    (await readContent(tree, "dir", true)).digest,
  ];
  const [without, withOwners] = await digests();
  chownSync(join(path, "dir/file"), 7, 7);
  const after = await digests();
  expect(after[0]).toBe(without);
  expect(after[1]).not.toBe(withOwners);
});
