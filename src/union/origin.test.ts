/** Inode numbers over a reopen, and origins that are not what they seem. */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { EPERM } from "../errno.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { forget } from "./ops/forget.js";
import { link } from "./ops/link.js";
import { opendir } from "./ops/opendir.js";
import { readdir } from "./ops/readdir.js";
import { releasedir } from "./ops/releasedir.js";
import { rename } from "./ops/rename.js";
import { setxattr } from "./ops/xattr.js";
import { type Bench, type LayerTree, make } from "./testing.js";

/** Makes the driver copy an object up. */
const touch = (b: Bench, path: string): number => setxattr(b.u, b.node(path), "trusted.t", Buffer.from("t"), 0, false);

/** What a listing without attributes says: name → number. */
function listed(b: Bench, path: string): Record<string, string> {
  const found: Record<string, string> = {};
  const handle = opendir(b.u, b.node(path));
  const r = readdir(b.u, handle, 0, false, {
    fits: () => true,
    add: (name, _type, low, high) => {
      found[name] = `${high}:${low}`;
    },
  });
  expect(r).toBe(0);
  releasedir(b.u, handle);
  return found;
}

/** The numbers that stat shows of the entries that a listing has. */
function shown(b: Bench, path: string): Record<string, string> {
  const names = b.list(path) as string[];
  return Object.fromEntries(names.map((name) => [name, b.ino(`${path}/${name}`)]));
}

const layers: LayerTree[] = [
  { f: "f", g: "g", l: "-> f", "d/x": "x", "d/s/y": "y", "e/": "" },
  { "d/z": "z", "d/s/w": "w" },
];

test("numbers are those of the lower objects, renamed or not, over a reopen", () => {
  const b = make(layers);
  const before = { ...shown(b, "/"), ...shown(b, "/d") };
  for (const path of ["f", "l", "d/x", "d/z"]) expect(touch(b, path)).toBe(0);
  const e = b.node("e");
  expect(rename(b.u, ROOT, "f", e, "f2", 0)).toBe(0);
  expect(rename(b.u, b.node("d"), "x", ROOT, "x2", 0)).toBe(0);
  expect(rename(b.u, ROOT, "d", e, "d2", 0)).toBe(0);
  const check = (): void => {
    expect(b.ino("e/f2")).toBe(before["f"]);
    expect(b.ino("l")).toBe(before["l"]);
    expect(b.ino("x2")).toBe(before["x"]);
    expect(b.ino("e/d2")).toBe(before["d"]);
    expect(b.ino("e/d2/z")).toBe(before["z"]);
    expect(b.ino("e/d2/s")).toBe(before["s"]);
    for (const path of ["/", "/e", "/e/d2", "/e/d2/s"]) {
      const { ".": dot, "..": up, ...entries } = listed(b, path);
      expect(entries).toEqual(shown(b, path));
      expect(dot).toBe(b.ino(path));
      expect(up).toBeDefined();
    }
  };
  check();
  b.reopen();
  // Listings first, when nothing is known yet; then with everything known.
  expect(listed(b, "/e")["f2"]).toBe(before["f"]);
  expect(listed(b, "/e")["d2"]).toBe(before["d"]);
  check();
});

test("a copy that the kernel forgets and looks up again keeps its number", () => {
  const b = make(layers);
  const number = b.ino("f");
  expect(touch(b, "f")).toBe(0);
  forget(b.u, b.node("f"), 100);
  expect(b.ino("f")).toBe(number);
});

test("names that were linked to a copy show its number", () => {
  const b = make(layers);
  const number = b.ino("f");
  expect(link(b.u, b.node("f"), b.node("e"), "f2")).toBeGreaterThan(0);
  b.reopen();
  expect(listed(b, "/e")["f2"]).toBe(number);
  expect(b.ino("e/f2")).toBe(number);
  expect(b.ino("f")).toBe(number);
});

test("without the capability to open handles the object of the same name is asked", () => {
  const b = make(layers);
  const number = b.ino("f");
  expect(touch(b, "f")).toBe(0);
  b.reopen();
  vi.spyOn(native, "openByHandle").mockReturnValue(-EPERM);
  expect(b.ino("f")).toBe(number);
});

/** The value of an attribute in the upper. */
function origin(path: string): string {
  return execFileSync("getfattr", [
    "-h",
    "--absolute-names",
    "--only-values",
    "-n",
    "trusted.overlay.origin",
    path,
  ]).toString("latin1");
}

function setOrigin(path: string, value: string): void {
  const hex = `0x${Buffer.from(value, "latin1").toString("hex")}`;
  execFileSync("setfattr", ["-h", "-n", "trusted.overlay.origin", "-v", hex, path]);
}

test("an origin that is corrupt, foreign, of another type, gone or another's gives no number", () => {
  const b = make(layers);
  const number = b.ino("f");
  for (const path of ["f", "g", "l"]) expect(touch(b, path)).toBe(0);
  const own = (name: string): string =>
    `0:${execFileSync("stat", ["-c", "%i", join(b.upper, name)])
      .toString()
      .trim()}`;
  const upper = join(b.upper, "f");
  const good = origin(upper);
  const flip = (at: number, to: number): string => good.slice(0, at) + String.fromCharCode(to) + good.slice(at + 1);
  const bad = ["", "x", good.slice(0, -1), `${good}x`, flip(0, 1), flip(1, 0), flip(2, 5), flip(3, 4), flip(5, 0x77)];
  for (const value of [...bad, flip(22, 0x55), flip(4, 99), origin(join(b.upper, "l"))]) {
    b.change(() => setOrigin(upper, value));
    expect(b.ino("f"), Buffer.from(value, "latin1").toString("hex")).toBe(own("f"));
  }
  expect(b.messages.filter((message) => message.includes("corrupt")).length).toBeGreaterThan(0);
  // Two copies of one: only the first that is looked up can be it.
  b.change(() => {
    setOrigin(upper, good);
    setOrigin(join(b.upper, "g"), good);
  });
  expect(b.ino("f")).toBe(number);
  expect(b.ino("g")).toBe(own("g"));
  // Gone, and its inode perhaps used again.
  b.change(() => {
    const lower = b.lowers[0] as string;
    renameSync(join(lower, "f"), join(lower, "kept"));
    rmSync(join(lower, "kept"));
    writeFileSync(join(lower, "new"), "new");
    mkdirSync(join(lower, "new2"));
  });
  expect(b.ino("f")).toBe(own("f"));
});
