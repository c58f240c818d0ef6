/** Archives read by native code give what JavaScript reads of them, and say the same of what is wrong. */
import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { frame, skippable } from "../testing.js";
import { pieceSize, type ReadArchive } from "./pieces.js";
import type { FileSource } from "./read-source.js";
import { readOnThread, readsOnThread } from "./threaded-read.js";

const content = Buffer.alloc(10 * pieceSize + 1000, "what is in an archive ");

/** A file that has the source somewhere in its middle. */
function sourceOf(bytes: Buffer, length = bytes.length): FileSource {
  const area = mkdtempSync(join(tmpdir(), "cowfs-read-"));
  const path = join(area, "file");
  writeFileSync(path, Buffer.concat([Buffer.alloc(512, "before"), bytes]));
  const fd = openSync(path, "r");
  onTestFinished(() => {
    closeSync(fd);
    rmSync(area, { recursive: true });
  });
  return { fd, offset: 512, length };
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

test.each([
  ["plain", content],
  ["plain, of whole pieces", content.subarray(0, 2 * pieceSize)],
  ["plain and empty", Buffer.alloc(0)],
  ["zstd", frame(content)],
  ["zstd, of several frames", Buffer.concat([frame(content), skippable, frame(Buffer.from("more"))])],
  ["zstd, of nothing", frame(Buffer.alloc(0))],
])("content and digests: %s", async (name, bytes) => {
  const source = sourceOf(bytes);
  expect(readsOnThread(source)).toBe(true);
  const expected = name.includes("several")
    ? Buffer.concat([content, Buffer.from("more")])
    : name.includes("nothing")
      ? Buffer.alloc(0)
      : name === "zstd"
        ? content
        : bytes;
  const parts: Buffer[] = [];
  const held: (() => void)[] = [];
  let read = 0;
  const push = (piece: Buffer, done: () => void): void => {
    parts.push(Buffer.from(piece));
    held.push(done);
    // They come back late, and the last one first.
    if (held.length === 3) for (const give of held.splice(0).reverse()) give();
  };
  const archive = await readOnThread(source, push, (at) => {
    expect(at).toBeGreaterThanOrEqual(read);
    read = at;
  });
  expect(Buffer.concat(parts).equals(expected)).toBe(true);
  expect(archive).toEqual<ReadArchive>({
    diffId: sha256(expected),
    archiveSize: expected.length,
    blobDigest: sha256(bytes),
  });
  expect(read).toBe(parts.length === 0 ? 0 : bytes.length);
});

const damaged = Buffer.from(frame(content));
damaged[9 + 128 * 1024] = 0xff;

test.each([
  ["the file is cut off", sourceOfLonger(content), "the archive cannot be read: it is cut off"],
  ["the file is cut off, zstd", sourceOfLonger(frame(content)), "the archive cannot be read: it is cut off"],
  [
    "zstd is cut off",
    () => sourceOf(frame(content).subarray(0, 500_000)),
    "the archive is damaged: zstd: it is cut off",
  ],
  ["zstd is damaged", () => sourceOf(damaged), "the archive is damaged: zstd: its content is not what was compressed"],
  ["a window is too large", () => sourceOf(frame(content, { windowLog: 31 })), "a window of more than 128 MiB"],
])("%s", async (_, source, message) => {
  const reading = readOnThread(
    source(),
    (_piece, done) => done(),
    () => {},
  );
  await expect(reading).rejects.toThrow(StoreError);
  await expect(reading).rejects.toThrow(message);
});

function sourceOfLonger(bytes: Buffer): () => FileSource {
  return () => sourceOf(bytes, bytes.length + 1);
}

test("what is thrown by who takes the pieces ends it, also when they come back later", async () => {
  const held: (() => void)[] = [];
  const push = (_piece: Buffer, done: () => void): void => {
    held.push(done);
    if (held.length === 2) throw new StoreError("no room");
  };
  await expect(readOnThread(sourceOf(content), push, () => {})).rejects.toThrow("no room");
  for (const done of held) done();
  await turn();
  expect(held.length).toBe(2);
});

test("gzip is for somebody else, and all where Node has no digests for addons", () => {
  expect(readsOnThread(sourceOf(Buffer.from([0x1f, 0x8b, 8, 0])))).toBe(false);
  const { canReadArchives } = native;
  onTestFinished(() => void Object.assign(native, { canReadArchives }));
  Object.assign(native, { canReadArchives: () => 0 });
  expect(readsOnThread(sourceOf(content))).toBe(false);
});

test("the addon refuses what it has no room for, and what has been closed", () => {
  const { fd } = sourceOf(content);
  const archive = native.archiveOpen(fd, 0, 0, 0, Buffer.alloc(10), () => {});
  if (typeof archive === "number") throw new Error(`it cannot be opened: ${archive}`);
  expect(native.archiveClose(archive, Buffer.alloc(63))).toBe(-22);
  for (const [start, length] of [
    [0, 11],
    [10, 1],
    [-1, 1],
    [0, 0],
  ] as const) {
    expect(native.archiveFill(archive, start, length)).toBe(-22);
  }
  const digests = Buffer.alloc(64);
  expect(native.archiveClose(archive, digests)).toBe(1);
  expect(digests.toString("hex", 0, 32)).toBe(sha256(Buffer.alloc(0)).slice(7));
  expect(native.archiveClose(archive, digests)).toBe(-9);
  expect(native.archiveFill(archive, 0, 1)).toBe(-9);
  expect(native.archiveOpen(fd, -1, 0, 0, Buffer.alloc(10), () => {})).toBe(-22);
});

test("a thread of JavaScript may end while its archive is read", async () => {
  const { fd, length } = sourceOf(content);
  const addon = new URL("../../../build/cowfs.node", import.meta.url).pathname;
  const code = `
    const native = require(${JSON.stringify(addon)});
    const archive = native.archiveOpen(${fd}, 0, ${length}, 0, new Uint8Array(8 << 20), () => {});
    for (let n = 0; n < 8; n++) native.archiveFill(archive, n << 20, 1 << 20);
    if (process.argv[2] === "exit") process.exit();
    require("node:worker_threads").parentPort.postMessage("reads");`;
  for (const how of ["exit", "terminate", "exit", "terminate"]) {
    const worker = new Worker(code, { eval: true, argv: [how] });
    const ended = new Promise((resolve, reject) => worker.on("exit", resolve).on("error", reject));
    if (how === "terminate") worker.on("message", () => void worker.terminate());
    await ended;
  }
});
