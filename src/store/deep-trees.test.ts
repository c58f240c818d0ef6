import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { changesOf } from "../assemble/changes.js";
import { treeChanges } from "../assemble/drivers/tree-changes.js";
import { readContent } from "../build/content.js";
import { SourceTree } from "../build/source-tree.js";
import { O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_WRONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { bytesOf } from "../text.js";
import { applyLayer } from "./apply-layer.js";
import { layerTarChunks } from "./archive/layer-tar.js";
import { copyTree } from "./copy-tree.js";
import { removeTree } from "./temporary.js";
import { treeSize } from "./tree-size.js";

/** Deeper than calls can go, and the path is longer than the kernel takes. */
const depth = 2100;

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "cowfs-deep-"));
});
afterEach(() => removeTree(base), 60_000);

const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];

function open(path: string): number {
  return native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
}

/** Directories in each other, and a file in the innermost. */
function makeDeep(path: string): void {
  mkdirSync(path);
  let fd = open(path);
  for (let i = 0; i < depth; i++) {
    expect(native.mkdirAs(fd, "d", 0o755, uid, gid)).toBe(0);
    const next = native.open(fd, "d", O_PATH | O_DIRECTORY, 0);
    native.close(fd);
    fd = next;
  }
  const file = native.openAs(fd, "file", O_CREAT | O_EXCL | O_WRONLY, 0o644, uid, gid);
  expect(native.pwrite(file, Buffer.from("hello"), 0, 5, 0)).toBe(5);
  native.close(file);
  native.close(fd);
}

/** How deep the directories in a directory are. */
function depthOf(path: string): number {
  let fd = open(path);
  for (let found = 0; ; found++) {
    const next = native.open(fd, "d", O_PATH | O_DIRECTORY, 0);
    native.close(fd);
    if (next < 0) return found;
    fd = next;
  }
}

test("trees whose directories are thousands deep are compared, copied, packed, unpacked, measured and removed", async () => {
  const [deep, empty, copy, unpacked] = ["deep", "empty", "copy", "unpacked"].map((name) => join(base, name)) as [
    string,
    string,
    string,
    string,
  ];
  makeDeep(deep);
  for (const path of [empty, copy, unpacked]) mkdirSync(path);

  expect(changesOf(deep, [empty]).map(({ kind }) => kind)).toEqual(Array(depth + 1).fill("A"));
  expect(changesOf(deep, [deep])).toEqual([{ kind: "C", path: `${"/d".repeat(depth)}/file` }]);
  expect(treeChanges(deep, empty, () => false).length).toBe(depth + 1);
  expect(treeSize(deep)).toBe(5);

  const [from, to] = [open(deep), open(copy)];
  await copyTree(from, to);
  native.close(from);
  native.close(to);
  expect(depthOf(copy)).toBe(depth);
  await applyLayer(deep, unpacked);
  expect(depthOf(unpacked)).toBe(depth);

  const tree = new SourceTree(deep, { what: "the tree", isClosed: true });
  expect((await readContent(tree, "", true)).paths.size).toBe(depth + 2);
  tree.close();

  let packed = 0;
  for (const piece of layerTarChunks(deep, { marks: "overlay" })) packed += piece.length;
  expect(packed).toBeGreaterThan(depth * 512);
});

test("what is found in such trees may be removed, whatever it lies in", async () => {
  const [tree, layer] = [join(base, "tree"), join(base, "layer")];
  mkdirSync(tree);
  mkdirSync(layer);
  makeDeep(join(tree, "deep"));
  mkdirSync(join(tree, "kept"));
  writeFileSync(join(layer, "deep"), "no directory");
  await applyLayer(layer, tree);
  expect(readFileSync(join(tree, "deep"), "utf8")).toBe("no directory");
  expect(existsSync(join(tree, "kept"))).toBe(true);
});
