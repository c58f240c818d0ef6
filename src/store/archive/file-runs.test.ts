/** Files that native code takes from an archive become what they would be one by one. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { native } from "../../native/index.js";
import { LayerBuilder } from "./layer-builder.js";
import { readSkeleton } from "./skeleton.js";
import { encodeHeader, endOfArchive, padding, type TarHeader } from "./tar-header.js";

const ids = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
const nothing = { ...ids, type: "0", mode: 0o644, size: 0, mtime: 0, mtimeNsec: 0, linkPath: "", major: 0, minor: 0 };

function entry(path: string, content = "", more: Partial<TarHeader> = {}, records?: Map<string, string>): Buffer {
  const bytes = Buffer.from(content, "latin1");
  const header = encodeHeader({ ...nothing, path, size: bytes.length, ...more }, records);
  return Buffer.concat([header, bytes, padding(bytes.length)]);
}

function directory(path: string, mode = 0o755): Buffer {
  return entry(path, "", { type: "5", mode });
}

/** The name as it is, where `encodeHeader` would take a header more for it. */
function withName(block: Buffer, name: string): Buffer {
  block.write(name, 0, "latin1");
  return withChecksum(block);
}

/** The header as GNU tar writes it, or as before POSIX. */
function withMagic(block: Buffer, magic: string): Buffer {
  block.write(magic.padEnd(8, "\0"), 257, "latin1");
  return withChecksum(block);
}

function withChecksum(block: Buffer): Buffer {
  block.write("        ", 148, "latin1");
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** Builds a layer from pieces of the archive; what `image load` would see of it, and how many files came in runs. */
async function build(archive: Buffer, pieceSize: number, apart: boolean): Promise<unknown> {
  const area = mkdtempSync(join(tmpdir(), "cowfs-runs-"));
  onTestFinished(() => rmSync(area, { recursive: true, force: true }));
  const path = join(area, "layer");
  const builder = await LayerBuilder.create(path, apart);
  const done: string[] = [];
  try {
    for (let at = 0; at < archive.length; at += pieceSize) {
      builder.push(archive.subarray(at, at + pieceSize), () => done.push("piece"));
    }
    const { record, warnings } = builder.finish({ diffId: "sha256:0", archiveSize: archive.length, blobDigest: "" });
    const tree = execFileSync("find", [".", "-printf", "%p %y %m %U %G %s %T@ %n %l\\0"], {
      cwd: join(path, "tree"),
      encoding: "latin1",
    });
    return {
      record: { ...record, created: "" },
      warnings,
      manifest: readFileSync(join(path, "manifest"), "latin1").split("\n").sort(),
      // A whiteout has the time when it was made.
      tree: tree
        .split("\0")
        .map((line) => line.replace(/(gone .*) \d+\.\d+ /, "$1 "))
        .sort(),
      content: execFileSync("sh", ["-c", "find . -type f -print0 | sort -z | xargs -0r sha256sum"], {
        cwd: join(path, "tree"),
        encoding: "latin1",
      }),
      kept: await keptOf(path),
    };
  } finally {
    builder.close();
  }
}

/** Looks at the tree of the layer that is built from these entries. */
async function tree(parts: readonly Buffer[], look: (path: string) => void): Promise<void> {
  const area = mkdtempSync(join(tmpdir(), "cowfs-runs-"));
  onTestFinished(() => void execFileSync("rm", ["-rf", area]));
  const builder = await LayerBuilder.create(join(area, "layer"), false);
  try {
    builder.push(Buffer.concat([...parts, endOfArchive]));
    builder.finish({ diffId: "sha256:0", archiveSize: 0, blobDigest: "" });
    look(join(area, "layer", "tree"));
  } finally {
    builder.close();
  }
}

/** What is kept of the archive, bytes that follow each other as one. */
async function keptOf(path: string): Promise<unknown[]> {
  const parts: unknown[] = [];
  let digest = createHash("sha256");
  async function* source(): AsyncGenerator<Buffer> {
    yield gunzipSync(readFileSync(join(path, "archive.gz")));
  }
  for await (const part of readSkeleton(source())) {
    if (Buffer.isBuffer(part)) digest.update(part);
    else {
      parts.push(digest.digest("hex"), part);
      digest = createHash("sha256");
    }
  }
  return [...parts, digest.digest("hex")];
}

/** Builds it file by file, and in runs, from pieces of several sizes; all must be the same. Returns how many files came in runs. */
async function compare(parts: readonly Buffer[]): Promise<number> {
  const archive = Buffer.concat([...parts, endOfArchive]);
  const { tarFiles } = native;
  onTestFinished(() => void Object.assign(native, { tarFiles }));
  Object.assign(native, { tarFiles: () => 0 });
  const one = await build(archive, 1 << 20, false);
  let most = 0;
  for (const size of [1000, 5120, 1 << 20]) {
    for (const apart of [false, true]) {
      let found = 0;
      Object.assign(native, {
        tarFiles: (...words: Parameters<typeof tarFiles>) => {
          const count = tarFiles(...words);
          found += count;
          return count;
        },
      });
      expect(await build(archive, size, apart)).toEqual(one);
      most = Math.max(most, found);
    }
  }
  return most;
}

describe("files in runs", () => {
  test("have their names, modes, times, owners and content", async () => {
    const owner = ids.uid === 0 ? { uid: 1234, gid: 2_000_000 } : {};
    const files = Array.from({ length: 120 }, (_, n) =>
      entry(`./d/file ${n}%\x7f`, "x".repeat((n * 37) % 2000), {
        mode: [0o644, 0o4755, 0o600, 0o7777][n % 4] as number,
        mtime: n * 1000,
      }),
    );
    const found = await compare([
      directory("./"),
      directory("./d/"),
      ...files,
      entry("./d/owned", "y", owner),
      withName(entry("./d/latin", "1"), "./d/latin\xe9"),
      entry("./d/late", "", { mtime: 8 ** 11 - 1 }),
      directory("./d/e/", 0o700),
      entry("./d/e/one", "1"),
      entry("./d/e/two", "2"),
    ]);
    expect(found).toBe(125);
  });

  test("may have headers of other kinds, and long paths", async () => {
    const long = "n".repeat(60);
    const found = await compare([
      directory(`${long}/${long}/`),
      entry(`${long}/${long}/${"a".repeat(100)}`, "1"),
      entry(`${long}/${long}/b`, "2"),
      directory("old/"),
      withMagic(entry("old/a", "3"), "ustar  \0"),
      withMagic(entry("old/b", "4"), ""),
      withMagic(entry("old/c", "5", { type: "\0" }), ""),
      withMagic(entry("old/d/", "", { type: "0" }), ""),
    ]);
    expect(found).toBe(4);
  });

  test("may be looked for behind a directory with a path longer than what is left of the piece", async () => {
    const long = `${"d".repeat(250)}/`.repeat(5);
    await compare([directory(long), entry(`${long}file`, "1")]);
    await compare([directory(long)]);
  });

  test("may come behind entries with paths that no system call takes, or that are mostly slashes", async () => {
    const long = `${"d".repeat(250)}/`.repeat(20);
    const slashes = "/".repeat(1 << 20);
    await tree([entry(`${long}a`, "1"), entry("b", "2"), entry(`${long}c`, "3")], (path) => {
      expect(readdirSync(path).sort()).toEqual(["b", "d".repeat(250)]);
    });
    await tree([directory(`d${slashes}d`), directory(`e${slashes}`), entry("e/f", "1"), entry("e/g", "2")], (path) => {
      expect(readdirSync(join(path, "e"))).toEqual(["f", "g"]);
      expect(readdirSync(path)).toEqual(["d", "e"]);
    });
  });

  test("lie where their paths say, whatever the path of the entry before ended with", async () => {
    await tree([entry("d/e/.."), entry("d/e/f")], () => {}).then(
      () => expect.fail("a file has become a directory"),
      (error) => expect(String(error)).toContain("no directory"),
    );
    const files = [entry("d/l/", "", { type: "2", linkPath: "../to" }), directory("to/"), entry("d/l/f", "1")];
    await tree([directory("to/"), entry("to/x"), ...files, entry("d/l/g", "2")], (path) => {
      expect(readdirSync(join(path, "to"))).toEqual(["f", "g", "x"]);
      expect(readdirSync(join(path, "d"))).toEqual(["l"]);
    });
  });

  test("end where anything else comes", async () => {
    const records = new Map([["SCHILY.xattr.user.name", "value"]]);
    const found = await compare([
      directory("d/"),
      entry("d/a", "1"),
      entry("d/.hidden", "2"),
      entry("d/.wh.gone"),
      entry("d/b", "3", {}, records),
      entry("d/c", "4", { mtimeNsec: 5 }),
      entry("d/link", "", { type: "2", linkPath: "a" }),
      entry("d/d", "5"),
      entry("d/fifo", "", { type: "6" }),
      entry("d/e", "6"),
      entry("d/f", "7"),
      entry("d/of all", "9"),
      entry("d/other", "", { type: "1", linkPath: "d/f" }),
      entry("d/g", "8", { mtime: 8 ** 11 }),
      entry("e/a", "9"),
      entry("e/b", "10"),
    ]);
    expect(found).toBeGreaterThan(3);
  });

  test("replace each other, and are replaced by other things and linked", async () => {
    const found = await compare([
      directory("d/"),
      ...Array.from({ length: 10 }, (_, n) => entry(`d/${n}`, `${n}`)),
      entry("d/3", "again"),
      entry("d/new", "new"),
      entry("d/new", "newer"),
      directory("d/4/"),
      entry("d/4/in", "a file becomes a directory"),
      entry("d/5", "", { type: "2", linkPath: "6" }),
      entry("d/7th", "", { type: "1", linkPath: "d/7" }),
      entry("d/7", "no longer that"),
      entry("d/8", "8"),
      directory("d/9/"),
      entry("d/9/a", "a"),
      entry("d/9/b", "b"),
      entry("d/9", "a directory becomes a file"),
      entry("d/9a", "9a"),
      directory("link-to-d/"),
      entry("link-to-d", "", { type: "2", linkPath: "d" }),
      entry("link-to-d/x", "x"),
      entry("link-to-d/y", "y"),
      entry("d/y", "z"),
    ]);
    expect(found).toBeGreaterThan(10);
  });

  test("with damaged headers are refused as ever", async () => {
    const notOctal = entry("d/b", "2");
    notOctal.write("0000000x001", 124, "latin1");
    const wrongSum = entry("d/b", "2");
    wrongSum.write("0000001", 148, "latin1");
    for (const broken of [withChecksum(notOctal), wrongSum]) {
      const archive = Buffer.concat([directory("d/"), entry("d/a"), broken]);
      await expect(build(archive, 1 << 20, false)).rejects.toThrow("damaged");
    }
  });

  test("that are cut off are not taken", async () => {
    const archive = Buffer.concat([directory("d/"), entry("d/a"), entry("d/b", "x".repeat(600))]);
    await expect(build(archive.subarray(0, archive.length - 512), 1 << 20, true)).rejects.toThrow("cut off");
  });
});

test("the addon refuses a run that lies outside of what it is given", () => {
  const bytes = (length: number): Buffer => Buffer.alloc(length);
  const run = (words: number[]): number => {
    const state = Buffer.alloc(48);
    for (const [index, word] of words.entries()) state.writeUInt32LE(word, index * 4);
    return native.tarFiles(
      state,
      bytes(1024),
      new Uint8Array(new ArrayBuffer(64)),
      bytes(16),
      bytes(4096),
      bytes(1),
      bytes(0),
    );
  };
  expect(run([0, 0, 17, 0, 0, 9])).toBe(-22);
  expect(run([0, 0, 0, 4097, 0, 9])).toBe(-22);
  expect(run([0, 0, 0, 8, 9, 9])).toBe(-22);
  expect(run([4096, 0, 0, 0, 0, 9])).toBe(0);
  expect(run([0, 1000, 0, 0, 0, 9])).toBe(0);
  const table = new Uint8Array(new ArrayBuffer(64));
  expect(native.tarLines(table, 0, 2, bytes(1), bytes(0), bytes(1000))).toBe(-22);
  expect(native.tarLines(table, 0, 1, bytes(0), bytes(0), bytes(1000))).toBe(-22);
  expect(native.tarLines(table, 0, 1, bytes(1), bytes(0), bytes(10))).toBe(-34);
});
