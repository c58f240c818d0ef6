/** Copies without data: what stays below, when it comes up, and metacopies that are not what they should be. */
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { EIO, ENOSPC, EOPNOTSUPP } from "../errno.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { writeFd } from "./ops/data.js";
import { forget } from "./ops/forget.js";
import { getattr } from "./ops/getattr.js";
import { link } from "./ops/link.js";
import { rename } from "./ops/rename.js";
import { noChange, setattr } from "./ops/setattr.js";
import { unlink } from "./ops/unlink.js";
import { setxattr } from "./ops/xattr.js";
import { PARK } from "./park.js";
import { type Bench, cat, content, type LayerTree, make, put } from "./testing.js";

const nothing = noChange();
const chmod = (b: Bench, path: string, mode: number): number =>
  setattr(b.u, b.node(path), { ...nothing, valid: 1, mode });

/** Names of the marks an object of the upper has, without their prefix. */
function marks(b: Bench, path: string): string[] {
  const list = Buffer.alloc(4096);
  const length = native.listxattr(-100, join(b.upper, path), list);
  return list
    .latin1Slice(0, Math.max(length, 0))
    .split("\0")
    .filter((name) => name.startsWith("trusted.overlay."))
    .map((name) => name.slice(16))
    .sort();
}

const text = "the data of a lower file";
const lowers: LayerTree[] = [{ f: text, "d/g": text, "d/h": "= d/g", "e/": "" }];

test("marks that the owner of a file may have set lead nowhere", () => {
  const b = make([
    { f: text, d: "" },
    { secret: "s".repeat(text.length), "private/x": "x" },
  ]);
  const set = (path: string, name: string, value: string): void => {
    expect(native.setxattr(-100, join(b.lowers[0] as string, path), name, Buffer.from(value), 0)).toBe(0);
  };
  b.change(() => {
    rmSync(join(b.lowers[0] as string, "d"));
    mkdirSync(join(b.lowers[0] as string, "d"));
    set("d", "user.overlay.redirect", "/private");
    set("f", "user.overlay.metacopy", "");
    set("f", "user.overlay.redirect", "/secret");
  });
  expect(cat(b, "f")).toBe(`error ${-EIO}`);
  expect(b.list("d")).toEqual([]);
  expect(chmod(b, "f", 0o600)).toBe(0);
  expect(cat(b, "f")).toBe(`error ${-EIO}`);
});

test("changing attributes and names leaves the data below, until it is written", () => {
  const b = make(lowers);
  expect(chmod(b, "f", 0o600)).toBe(0);
  expect(marks(b, "f")).toEqual(["metacopy", "origin"]);
  expect(statSync(join(b.upper, "f")).size).toBe(text.length);
  expect(readFileSync(join(b.upper, "f"), "latin1")).toBe("\0".repeat(text.length));
  expect(getattr(b.u, b.node("f"))).toBe(0);
  expect(b.u.stat.blocks).toBe(statSync(join(b.lowers[0] as string, "f")).blocks);
  expect(rename(b.u, ROOT, "f", b.node("e"), "f2", 0)).toBe(0);
  expect(marks(b, "e/f2")).toEqual(["metacopy", "origin", "redirect"]);
  expect(cat(b, "e/f2")).toBe(text);
  b.reopen();
  expect(cat(b, "e/f2")).toBe(text);
  expect(put(b, b.node("e/f2"), "THE")).toBe(3);
  expect(marks(b, "e/f2")).toEqual(["origin"]);
  expect(cat(b, "e/f2")).toBe(`THE${text.slice(3)}`);
  b.reopen();
  expect(cat(b, "e/f2")).toBe(`THE${text.slice(3)}`);
});

test("a file system without unnamed files, or without the marks, is found out once", () => {
  const real = native.createAlike.bind(native);
  for (const [takesMarks, wanted] of [
    [true, ["metacopy", "origin"]],
    [false, ["origin"]],
  ] as const) {
    const b = make(lowers);
    const asked: string[] = [];
    const create = vi.spyOn(native, "createAlike").mockImplementation((dirfd, name, ...rest) => {
      asked.push(name);
      return name !== "" && takesMarks ? real(dirfd, name, ...rest) : -EOPNOTSUPP;
    });
    for (const path of ["f", "d/g"]) expect(chmod(b, path, 0o600)).toBe(0);
    expect(asked.map((name) => name !== "")).toEqual(takesMarks ? [false, true, true] : [false, true]);
    expect(marks(b, "f")).toEqual(wanted);
    for (const path of ["f", "d/g"]) expect(cat(b, path)).toBe(text);
    create.mockRestore();
  }
});

test("hard links stay one file, with data and without", () => {
  const b = make(lowers);
  expect(chmod(b, "d/g", 0o600)).toBe(0);
  expect(marks(b, "d/g")).toEqual(["metacopy", "nlink", "origin"]);
  expect(rename(b.u, b.node("d"), "h", ROOT, "moved", 0)).toBe(0);
  expect(link(b.u, b.node("moved"), b.node("e"), "third")).toBeGreaterThan(0);
  for (const reopen of [false, true]) {
    if (reopen) b.reopen();
    for (const path of ["d/g", "moved", "e/third"]) {
      expect(cat(b, path)).toBe(text);
      expect(getattr(b.u, b.node(path))).toBe(0);
      expect(b.u.stat.nlink).toBe(3);
    }
  }
  expect(put(b, b.node("e/third"), "THE")).toBe(3);
  for (const path of ["d/g", "moved", "e/third"]) expect(cat(b, path)).toBe(`THE${text.slice(3)}`);
  b.reopen();
  for (const path of ["d/g", "moved", "e/third"]) expect(cat(b, path)).toBe(`THE${text.slice(3)}`);
});

test("what copying the data disturbs is put back", () => {
  const b = make(lowers);
  const lower = join(b.lowers[0] as string, "f");
  b.change(() => execFileSync("sh", ["-c", `setcap cap_net_raw+ep ${lower}; touch -d @900000000.5 ${lower}`]));
  expect(chmod(b, "f", 0o6755)).toBe(0);
  expect(writeFd(b.u, b.node("f"))).toBeGreaterThanOrEqual(0);
  expect(marks(b, "f")).toEqual(["origin"]);
  expect(getattr(b.u, b.node("f"))).toBe(0);
  expect(b.u.stat.mode & 0o7777).toBe(0o6755);
  expect([b.u.stat.mtime, b.u.stat.mtimeNsec]).toEqual([900000000, 500000000]);
  expect(execFileSync("getcap", [join(b.upper, "f")]).toString()).toContain("cap_net_raw");
});

test("a truncation copies what will be left", () => {
  const b = make(lowers);
  for (const [size, left] of [
    [4, "the "],
    [0, ""],
    [30, `${text}\0\0\0\0\0\0`],
  ] as const) {
    expect(chmod(b, "f", 0o600)).toBe(0);
    expect(setattr(b.u, b.node("f"), { ...nothing, valid: 8, size })).toBe(0);
    expect(cat(b, "f")).toBe(left);
    b.reopen();
    expect(cat(b, "f")).toBe(left);
    b.change(() => rmSync(join(b.upper, "f")));
  }
});

test("an unlinked metacopy is read and written by those who have it open", () => {
  const b = make(lowers);
  expect(chmod(b, "f", 0o600)).toBe(0);
  const node = b.node("f");
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  expect(content(b, node)).toBe(text);
  const held = b.u.descriptors.count;
  expect(content(b, node)).toBe(text);
  expect(b.u.descriptors.count).toBe(held);
  expect(put(b, node, "THE")).toBe(3);
  expect(content(b, node)).toBe(`THE${text.slice(3)}`);
  forget(b.u, node, 1000);
  expect(b.u.descriptors.count).toBeLessThan(held);
});

/** Copying the data has begun, and is held up. */
function begin(b: Bench): number {
  let job = 0;
  vi.spyOn(native, "jobCopy").mockImplementation((id) => {
    job = id;
    return 0;
  });
  expect(put(b, b.node("f"), "THE")).toBe(PARK);
  expect(put(b, b.node("f"), "THE")).toBe(PARK);
  expect(chmod(b, "f", 0o644)).toBe(PARK);
  expect(job).toBeGreaterThan(0);
  return job;
}

/** What the job does: the data comes into the file. */
function copied(b: Bench, path: string): void {
  writeFileSync(path, readFileSync(join(b.lowers[0] as string, "f")));
}

test("while a job copies the data, the file shows as it was, and nobody is forgotten", () => {
  const b = make(lowers, undefined, { inlineCopyLimit: 0 });
  b.change(() => execFileSync("touch", ["-d", "@900000000", join(b.lowers[0] as string, "f")]));
  expect(chmod(b, "f", 0o600)).toBe(0);
  const job = begin(b);
  copied(b, join(b.upper, "f"));
  const node = b.node("f");
  // All the lookups there were, those of `begin` too.
  forget(b.u, node, 5);
  expect(getattr(b.u, node)).toBe(0);
  expect(b.u.stat.mtime).toBe(900000000);
  expect(content(b, node)).toBe(text);
  expect(b.u.jobDone(job, 0)).toBe(0);
  expect(b.node("f")).not.toBe(-1);
  expect(marks(b, "f")).toEqual(["origin"]);
  expect(cat(b, "f")).toBe(text);
  expect(getattr(b.u, b.node("f"))).toBe(0);
  expect(b.u.stat.mtime).toBe(900000000);
  expect(put(b, b.node("f"), "THE")).toBe(3);
});

test("a job that fails leaves the metacopy, also of a file that was removed meanwhile", () => {
  const b = make(lowers, undefined, { inlineCopyLimit: 0 });
  expect(chmod(b, "f", 0o600)).toBe(0);
  const job = begin(b);
  expect(b.u.jobDone(job, -ENOSPC)).toBe(-ENOSPC);
  expect(marks(b, "f")).toEqual(["metacopy", "origin"]);
  expect(cat(b, "f")).toBe(text);
  const again = begin(b);
  const node = b.node("f");
  linkSync(join(b.upper, "f"), join(b.root, "seen"));
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  copied(b, join(b.root, "seen"));
  expect(b.u.jobDone(again, 0)).toBe(0);
  expect(put(b, node, "THE")).toBe(3);
  expect(content(b, node)).toBe(`THE${text.slice(3)}`);
});

test("after a crash while the data was copied the file is what it was", () => {
  const b = make(lowers, undefined, { inlineCopyLimit: 0 });
  const lower = join(b.lowers[0] as string, "f");
  b.change(() => execFileSync("sh", ["-c", `setcap cap_net_raw+ep ${lower}; touch -d @900000000 ${lower}`]));
  expect(chmod(b, "f", 0o600)).toBe(0);
  expect(begin(b)).toBeGreaterThan(0);
  vi.restoreAllMocks();
  b.change(() => writeFileSync(join(b.upper, "f"), "half"));
  expect(getattr(b.u, b.node("f"))).toBe(0);
  expect([b.u.stat.mtime, b.u.stat.size]).toEqual([900000000, text.length]);
  expect(marks(b, "f")).toEqual(["metacopy", "origin"]);
  expect(execFileSync("getcap", [join(b.upper, "f")]).toString()).toContain("cap_net_raw");
  expect(cat(b, "f")).toBe(text);
});

test("metacopies in the middle lead on, by name, bare and absolute redirects, through renamed directories", () => {
  const b = make([
    {
      a: "metacopy 4",
      b: "metacopy 4 other",
      "r/c": "metacopy 4 /x/y/c",
      "deep/": "redirect /was",
      "deep/n": "metacopy 4",
    },
    { a: "metacopy 4 /far/a", other: "OTHR", "x/": "redirect /z", "was/n": "NAME" },
    { "far/a": "FAR ", "z/y/c": "ZYC ", other: "xxxx" },
  ]);
  expect(cat(b, "a")).toBe("FAR ");
  expect(cat(b, "b")).toBe("OTHR");
  expect(cat(b, "r/c")).toBe("ZYC ");
  expect(cat(b, "deep/n")).toBe("NAME");
  expect(chmod(b, "a", 0o600)).toBe(0);
  expect(rename(b.u, ROOT, "a", ROOT, "a2", 0)).toBe(0);
  b.reopen();
  expect(cat(b, "a2")).toBe("FAR ");
  expect(put(b, b.node("a2"), "a")).toBe(1);
  expect(cat(b, "a2")).toBe("aAR ");
});

test("layers that only hold data show nothing, and are reached by an absolute redirect alone", () => {
  const b = make(
    [
      { a: "metacopy 4 /objects/1", b: "metacopy 4", c: "metacopy 4 /objects/2" },
      { "objects/1": "ONE ", b: "BBBB" },
      { "objects/1": "xxxx", "objects/2": "TWO " },
    ],
    undefined,
    { data: 2 },
  );
  expect(b.list("/")).toEqual(["a", "b", "c"]);
  expect(cat(b, "a")).toBe("ONE ");
  expect(cat(b, "b")).toBe(`error ${-EIO}`);
  expect(cat(b, "c")).toBe("TWO ");
  expect(put(b, b.node("c"), "t")).toBe(1);
  expect(cat(b, "c")).toBe("tWO ");
});

test("without metacopies data comes along, and those of others are read", () => {
  const b = make([{ f: text, g: text }], { g: `metacopy ${text.length}` }, { metacopy: false });
  expect(chmod(b, "f", 0o600)).toBe(0);
  expect(readFileSync(join(b.upper, "f"), "latin1")).toBe(text);
  expect(cat(b, "g")).toBe(text);
  expect(existsSync(join(b.upper, "f"))).toBe(true);
});

test("a lower file that is open while it gets a metacopy is read as before", () => {
  const b = make(lowers);
  const node = b.node("f");
  expect(content(b, node)).toBe(text);
  expect(setxattr(b.u, node, "user.a", Buffer.from("1"), 0, false)).toBe(0);
  expect(content(b, node)).toBe(text);
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  expect(content(b, node)).toBe(text);
});
