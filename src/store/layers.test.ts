import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { native } from "../native/index.js";
import { openLayerArchive } from "./archive/layer-archive.js";
import { openDataRoot } from "./data-root.js";
import { hasLayer, layerDirectory, layerTree } from "./layers.js";
import { createLayerFromTar, createLayerFromTree } from "./testing.js";
import { verifyArchive, verifyLayer } from "./verify-layer.js";

function scratch(): string {
  const path = mkdtempSync(join(tmpdir(), "cowfs-layers-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("a directory becomes a layer, and the layer gives the same archive again", async () => {
  const area = scratch();
  const source = join(area, "source");
  mkdirSync(join(source, "dir"), { recursive: true });
  writeFileSync(join(source, "dir/file"), "content");
  chmodSync(join(source, "dir/file"), 0o751);
  linkSync(join(source, "dir/file"), join(source, "other"));
  symlinkSync("dir/file", join(source, "link"));
  const root = openDataRoot(join(area, "root"));
  const layer = await createLayerFromTree(root, source, { marks: "none" });
  expect(layer).toMatchObject({ size: 7, entries: 4 });
  const tree = layerTree(root, layer.diffId);
  expect(readFileSync(join(tree, "other"), "utf8")).toBe("content");
  expect((await createLayerFromTree(root, tree, { marks: "overlay" })).diffId).toBe(layer.diffId);
});

/** The lines of a layer's manifest, the order of which tells nothing. */
function manifestOf(directory: string): string[] {
  return readFileSync(join(directory, "manifest"), "latin1").split("\n").sort();
}

test("a system without libxxhash gives a layer the same manifest", async () => {
  const area = scratch();
  const file = join(area, "archive.tar");
  execFileSync("tar", ["-cf", file, "-C", "/etc", "hostname", "passwd", "-C", import.meta.dirname, "."]);
  const manifests: string[][] = [];
  const { canHash } = native;
  onTestFinished(() => void Object.assign(native, { canHash }));
  for (const name of ["with", "without"]) {
    const root = openDataRoot(join(area, name));
    const layer = await createLayerFromTar(root, Readable.from([readFileSync(file)]));
    expect(await verifyLayer(root, layer.diffId)).toEqual([]);
    manifests.push(manifestOf(layerDirectory(root, layer.diffId)));
    Object.assign(native, { canHash: () => 0 });
  }
  expect(manifests[0]).toEqual(manifests[1]);
});

test("the archive of a layer can be had again byte for byte, also with files that were replaced", async () => {
  const area = scratch();
  const root = openDataRoot(join(area, "root"));
  const file = join(area, "archive.tar");
  writeFileSync(join(area, "name"), "first");
  execFileSync("tar", ["-cf", file, "-C", area, "name"]);
  writeFileSync(join(area, "name"), "second, and longer");
  execFileSync("tar", ["-rf", file, "-C", area, "name"]);
  execFileSync("tar", ["-rf", file, "--format=gnu", "-C", "/etc", "hostname", "passwd"]);
  const bytes = readFileSync(file);
  const layer = await createLayerFromTar(root, Readable.from([bytes]));
  expect(readFileSync(join(layerTree(root, layer.diffId), "name"), "utf8")).toBe("second, and longer");
  const again = Buffer.concat(await openLayerArchive(root, layer.diffId).toArray());
  expect(again.equals(bytes)).toBe(true);
});

test.each([
  0, 200,
])("a file takes the place of a directory with %i others, while its own parent is open", async (count) => {
  const area = scratch();
  const root = openDataRoot(join(area, "root"));
  const file = join(area, "archive.tar");
  const add = (...paths: string[]): void =>
    void execFileSync("tar", ["--no-recursion", "-rf", file, "-C", join(area, "source"), ...paths]);
  const source = (path: string): string => join(area, "source", path);
  mkdirSync(source("p/q/d/deep"), { recursive: true });
  const many = Array.from({ length: count }, (_, i) => `p/q/d/n${i}`);
  for (const path of [...many, "x"]) mkdirSync(source(path));
  for (const path of [...many.map((name) => `${name}/f`), "x/one", "p/q/d/deep/file"])
    writeFileSync(source(path), path);
  add("x/one", "p/q/d/deep/file", ...many.map((name) => `${name}/f`), "x/one");
  rmSync(source("p/q/d"), { recursive: true });
  writeFileSync(source("p/q/d"), "a file now");
  add("x/one", "p/q/d");
  rmSync(source("p/q/d"));
  mkdirSync(source("p/q/d"));
  writeFileSync(source("p/q/d/last"), "last");
  add("p/q/d", "p/q/d/last");
  const bytes = readFileSync(file);
  const layer = await createLayerFromTar(root, Readable.from([bytes]));
  const tree = layerTree(root, layer.diffId);
  expect(execFileSync("find", [".", "-type", "f"], { cwd: tree, encoding: "utf8" }).split("\n").sort()).toEqual([
    "",
    "./p/q/d/last",
    "./x/one",
  ]);
  expect(Buffer.concat(await openLayerArchive(root, layer.diffId).toArray()).equals(bytes)).toBe(true);
});

test("a hard-linked file whose first name is replaced stays under the others", async () => {
  const area = scratch();
  const root = openDataRoot(join(area, "root"));
  const file = join(area, "archive.tar");
  const source = (path: string): string => join(area, path);
  writeFileSync(source("a"), "linked");
  for (const name of ["b", "c"]) linkSync(source("a"), source(name));
  execFileSync("tar", ["-cf", file, "-C", area, "a", "b", "c"]);
  rmSync(source("a"));
  writeFileSync(source("a"), "alone");
  execFileSync("tar", ["-rf", file, "-C", area, "a"]);
  const layer = await createLayerFromTar(root, Readable.from([readFileSync(file)]));
  expect(layer.size).toBe("linked".length + "alone".length);
  expect(readFileSync(join(layerTree(root, layer.diffId), "c"), "utf8")).toBe("linked");
  expect(await verifyLayer(root, layer.diffId)).toEqual([]);
  expect(await verifyArchive(root, layer.diffId)).toEqual([]);
});

test("an archive with another digest than expected leaves nothing", async () => {
  const area = scratch();
  const root = openDataRoot(join(area, "root"));
  const archive = execFileSync("tar", ["-cf", "-", "-C", "/etc", "hostname"]);
  const expectedDiffId = `sha256:${"0".repeat(64)}`;
  await expect(createLayerFromTar(root, Readable.from([archive]), { expectedDiffId })).rejects.toThrow(/digest/);
  expect(hasLayer(root, expectedDiffId)).toBe(false);
});
