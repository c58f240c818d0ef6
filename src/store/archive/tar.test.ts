import { describe, expect, test } from "vitest";
import { aclOfText } from "./acl-text.js";
import { archivedAttribute, components, meaningOf, storedAttribute } from "./layer-names.js";
import { decodeHeader, decodePax, encodeHeader, endOfArchive, parsePaxTime, type TarEntry } from "./tar-header.js";
import { type TarHandler, TarParser } from "./tar-parser.js";

const file = {
  type: "0",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  mtimeNsec: 0,
  linkPath: "",
  major: 0,
  minor: 0,
};

/** What the parser makes of an archive that comes in pieces of `size` bytes. */
function parse(archive: Buffer, size: number): { entries: TarEntry[]; contents: string[]; raw: number } {
  const found = { entries: [] as TarEntry[], contents: [] as string[], raw: 0 };
  const handler: TarHandler = {
    entry: (entry) => {
      found.entries.push(entry);
      if (entry.type === "0") found.contents.push("");
      return entry.type === "0";
    },
    content: (chunk, start, length) => {
      found.contents.push(`${found.contents.pop()}${chunk.latin1Slice(start, start + length)}`);
    },
    sparse: (chunk, start, length, offset) => {
      const before = found.contents.pop() ?? "";
      found.contents.push(`${before.padEnd(offset, "-")}${chunk.latin1Slice(start, start + length)}`);
    },
    entryEnd: () => {},
    raw: (_chunk, _start, length) => {
      found.raw += length;
    },
  };
  const parser = new TarParser(handler);
  for (let at = 0; at < archive.length; at += size) parser.push(archive.subarray(at, at + size));
  parser.end();
  return found;
}

test("what is written is read as it was, however the pieces fall", () => {
  const headers = [
    { ...file, path: "short" },
    { ...file, path: `${"d".repeat(90)}/${"n".repeat(90)}` },
    { ...file, path: "x".repeat(255), mtime: 1_700_000_000, mtimeNsec: 123_456_789 },
    { ...file, path: "latin\xe9", uid: 4_000_000_000, gid: 2_097_152 },
    { ...file, path: "link", type: "2", linkPath: "t".repeat(300) },
    { ...file, path: "before", mtime: -315_521_756, mtimeNsec: 750_000_000 },
    { ...file, path: "dir/", type: "5", mode: 0o7755 },
    { ...file, path: "device", type: "3", major: 259, minor: 1_048_575 },
  ];
  const value = "\0\xff\n=\xc3\xa9";
  const records = new Map([["SCHILY.xattr.user.binary", value]]);
  const archive = Buffer.concat([...headers.map((header) => encodeHeader(header, records)), endOfArchive]);
  for (const size of [1, 511, 512, 700, 100_000]) {
    const { entries, raw } = parse(archive, size);
    expect(entries).toEqual(headers.map((header) => ({ ...header, xattrs: new Map([["user.binary", value]]) })));
    expect(raw).toBe(archive.length);
  }
});

test("content comes apart from everything else", () => {
  const content = "c".repeat(700);
  const archive = Buffer.concat([
    encodeHeader({ ...file, path: "a", size: 700 }),
    Buffer.from(content.padEnd(1024, "\0")),
    encodeHeader({ ...file, path: "b" }),
    endOfArchive,
  ]);
  for (const size of [1, 600, 5000]) {
    expect(parse(archive, size)).toMatchObject({ contents: [content, ""], raw: archive.length - 700 });
  }
});

/** A sparse file whose map is in front of its content. */
function sparseFile(map: readonly number[], stored: string, size: number): Buffer {
  const text = [map.length / 2, ...map].map((one) => `${one}\n`).join("");
  const content = Buffer.from(text.padEnd(Math.ceil(text.length / 512) * 512, "\0") + stored, "latin1");
  const records = [
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.name", "real"],
    ["GNU.sparse.realsize", String(size)],
  ] as const;
  const header = encodeHeader({ ...file, path: "GNUSparseFile.1/real", size: content.length }, new Map(records));
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512), endOfArchive]);
}

test("a sparse file's content comes with where it belongs, however the pieces fall", () => {
  const map = Array.from({ length: 200 }, (_, at) => [10 * at + 3, 2]).flat();
  const archive = sparseFile(map, "ab".repeat(200), 2000);
  for (const size of [1, 511, 700, 100_000]) {
    const { entries, contents, raw } = parse(archive, size);
    expect(entries).toEqual([{ ...file, path: "real", size: 2000, sparse: true, xattrs: undefined }]);
    expect(contents).toEqual(["---ab-----".repeat(200).slice(0, -5)]);
    expect(raw).toBe(archive.length);
  }
});

test.each([
  ["pieces that overlap", [0, 4, 2, 4], "abcdefgh", 100],
  ["a piece behind the end", [98, 4], "abcd", 100],
  ["less than the map tells of", [0, 8], "abcd", 100],
  ["more than the map tells of", [0, 2], "abcd", 100],
  ["a size that nothing has", [0, 4], "abcd", 2 ** 50],
])("a sparse file with %s is refused", (_, map, stored, size) => {
  expect(() => parse(sparseFile(map, stored, size), 512)).toThrow(/sparse file/);
});

test.each(["header", "content", "padding"])("an archive that ends in a %s is cut off", (where) => {
  const archive = Buffer.concat([encodeHeader({ ...file, path: "a", size: 700 }), Buffer.alloc(1024)]);
  const length = { header: 300, content: 900, padding: 1300 }[where];
  expect(() => parse(archive.subarray(0, length), 512)).toThrow(/cut off/);
});

test("GNU's binary numbers, and numbers below zero", () => {
  const block = encodeHeader({ ...file, path: "a" });
  block.fill(0, 124, 136);
  block[124] = 0x80;
  block.writeUInt32BE(5_000_000_000 % 2 ** 32, 132);
  block.writeUInt32BE(Math.floor(5_000_000_000 / 2 ** 32), 128);
  block.fill(0xff, 136, 148);
  let sum = 8 * 0x20;
  for (const [at, byte] of block.entries()) if (at < 148 || at >= 156) sum += byte;
  block.latin1Write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  expect(decodeHeader(block, 0)).toMatchObject({ size: 5_000_000_000, mtime: -1 });
});

test.each([
  ["1.5", [1, 500_000_000]],
  ["-1.25", [-2, 750_000_000]],
  ["-3", [-3, 0]],
  ["7.1234567891", [7, 123_456_789]],
  ["1e5", undefined],
  ["", undefined],
])("the time %j", (text, time) => {
  expect(parsePaxTime(text)).toEqual(time);
});

test.each(["5 a=b\n", "99 a=b\n", "x a=b\n", "6 ab\n\n", "6 a=b"])("the malformed pax header %j", (text) => {
  expect(() => decodePax(Buffer.from(text), new Map())).toThrow(/malformed/);
});

describe("names", () => {
  test.each([
    ["./a//b/./c", ["a", "b", "c"]],
    ["/etc/x", ["etc", "x"]],
    ["a/../b", ["b"]],
    ["./", []],
  ])("%j lies at %j", (path, parts) => {
    expect(components(path)).toEqual(parts);
  });

  test.each(["..", "a/../../b", "x".repeat(256)])("%j is refused", (path) => {
    expect(() => components(path)).toThrow();
  });

  test.each([
    [["a", ".wh.b"], "whiteout"],
    [["a", ".wh..wh..opq"], "opaque"],
    [[".wh..wh.plnk", "1.2"], "metadata"],
    [["a", ".whb"], "plain"],
  ])("%j is %s", (parts, meaning) => {
    expect(meaningOf(parts)).toBe(meaning);
  });

  test("attributes that would be marks are escaped, and come out as they were", () => {
    expect(storedAttribute("trusted.overlay.opaque")).toBe("trusted.overlay.overlay.opaque");
    expect(archivedAttribute("user.overlay.overlay.x")).toBe("user.overlay.x");
    expect(archivedAttribute("trusted.overlay.origin")).toBeUndefined();
    expect(storedAttribute("user.fuseoverlayfs.opaque")).toBeUndefined();
    expect(storedAttribute("security.capability")).toBe("security.capability");
  });
});

test("ACLs in words", () => {
  const value =
    aclOfText("user::rw-\nuser:12:r-x\ngroup::r--,group:name:-w-:34\nmask::rwx\t#effective\nother::---") ?? "";
  const bytes = Buffer.from(value, "latin1");
  expect(bytes.length).toBe(4 + 6 * 8);
  expect(bytes.subarray(0, 20).toString("hex")).toBe("02000000" + "01000600ffffffff" + "020005000c000000");
  expect(aclOfText("user:nobody-of-this-name:rwx")).toBeUndefined();
  expect(aclOfText("nonsense")).toBeUndefined();
});
