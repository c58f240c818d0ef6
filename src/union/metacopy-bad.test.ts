/** Metacopies that are not what they should be: EIO for whoever wants the data, one warning, and nothing else. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { EIO } from "../errno.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { write } from "./ops/data.js";
import { getattr } from "./ops/getattr.js";
import { rename } from "./ops/rename.js";
import { noChange, setattr } from "./ops/setattr.js";
import { unlink } from "./ops/unlink.js";
import { type Bench, cat, make, mark } from "./testing.js";

const nothing = noChange();
const refused = `error ${-EIO}`;
const MISSING = "a metacopy without data: it can be found in no layer below";
const MALFORMED = "a malformed metacopy or redirect: its data cannot be read";
const NO_FILE = "a metacopy whose data is no regular file";
const OTHER_SIZE = "a metacopy whose data has another size";
const OTHER_FILE = "a metacopy whose data is another file than its origin says";

const put = (b: Bench, path: string, text: string): number =>
  write(b.u, b.node(path), Buffer.from(text), 0, text.length, 0, null, false);
const chmod = (b: Bench, path: string, mode: number): number =>
  setattr(b.u, b.node(path), { ...nothing, valid: 1, mode });

/** Neither read nor written; attributes can be had and changed, and names, and the log says once what is wrong. */
function expectBad(b: Bench, path: string, why: string): void {
  b.messages.length = 0;
  for (let times = 0; times < 3; times++) {
    expect(cat(b, path), path).toBe(refused);
    expect(put(b, path, "x"), path).toBe(-EIO);
  }
  expect(b.messages, path).toEqual([why]);
  expect(getattr(b.u, b.node(path)), path).toBe(0);
  expect(chmod(b, path, 0o640), path).toBe(0);
}

const LONG = `/${"n/".repeat(300)}n`;

test("data that is missing, hidden, of another size, or no file", () => {
  const b = make(
    [
      {
        gone: "whiteout",
        longer: "longer than it should be",
        shorter: "abc",
        empty: "",
        "dir/x": "",
        link: "-> /etc/passwd",
        dangling: "-> nowhere",
        twice: "metacopy 4",
        "through/": "",
        "through/l": "-> ../dir2",
        "dir2/f": "DATA",
        a: "metacopy 4 /b",
        b: "metacopy 4 /a",
        c: "metacopy 4 /c",
      },
      { gone: "DATA", hidden: "DATA", a: "metacopy 4 /b", b: "metacopy 4 /a", c: "metacopy 4 /c" },
    ],
    {
      gone: "metacopy 4",
      missing: "metacopy 4",
      longer: "metacopy 4",
      shorter: "metacopy 4",
      empty: "metacopy 4",
      link: "metacopy 4",
      dangling: "metacopy 4",
      twice: "metacopy 4",
      self: "metacopy 4 /self",
      deep: "metacopy 4 /gone/x",
      "d/f": "metacopy 4 /dir",
      through: "metacopy 4 /through/l/f",
      slashes: "metacopy 4 /hidden/x",
      fifo: "metacopy 4 /pipe",
      device: "metacopy 4 /zero",
      socket: "metacopy 4 /device00",
      a: "metacopy 4 /b",
      b: "metacopy 4 /a",
      c: "metacopy 4",
      many: `metacopy 4 ${LONG}`,
      fine: "metacopy 4 /hidden",
    },
  );
  const [top, bottom] = b.lowers as [string, string];
  b.change(() => {
    execFileSync("mkfifo", [join(top, "pipe")]);
    execFileSync("mknod", [join(bottom, "zero"), "c", "1", "5"]);
    execFileSync("mknod", [join(bottom, "device00"), "c", "0", "0"]);
    rmSync(join(b.upper, "through"));
    writeFileSync(join(b.upper, "through2"), "");
    truncateSync(join(b.upper, "through2"), 4);
    mark(join(b.upper, "through2"), "metacopy", "");
    mark(join(b.upper, "through2"), "redirect", "/through/l/f");
  });
  for (const [path, why] of [
    ["gone", MISSING],
    ["missing", MISSING],
    ["longer", OTHER_SIZE],
    ["shorter", OTHER_SIZE],
    ["empty", OTHER_SIZE],
    ["link", NO_FILE],
    ["dangling", NO_FILE],
    ["twice", MISSING],
    ["self", MISSING],
    ["deep", MISSING],
    ["d/f", NO_FILE],
    ["through2", MISSING],
    ["slashes", MISSING],
    ["fifo", NO_FILE],
    ["device", NO_FILE],
    ["socket", MISSING],
    ["a", MISSING],
    ["b", MISSING],
    ["c", MISSING],
    ["many", MISSING],
  ] as const) {
    expectBad(b, path, why);
  }
  expect(cat(b, "fine")).toBe("DATA");
  // Nothing of the data is wanted any more.
  expect(setattr(b.u, b.node("missing"), { ...nothing, valid: 8, size: 0 })).toBe(0);
  expect(put(b, "missing", "x")).toBe(1);
  expect(unlink(b.u, ROOT, "self")).toBe(0);
  expect(rename(b.u, ROOT, "longer", ROOT, "renamed", 0)).toBe(0);
  b.reopen();
  expectBad(b, "renamed", OTHER_SIZE);
});

test("redirects that no path can be are followed nowhere", () => {
  const redirects: Record<string, string> = {
    up: "../../etc/passwd",
    slashUp: "/../../../../../../etc/passwd",
    middle: "/d/../../secret",
    nul: "/etc/passwd\0",
    nulInside: "secret\0x",
    bareSlash: "d/secret",
    root: "/",
    empty: "",
    twoSlashes: "//secret",
    dot: "/./secret",
    bareDot: ".",
    bareUp: "..",
    longName: `/${"n".repeat(256)}`,
  };
  const b = make(
    [{ "d/secret": "DATA" }],
    Object.fromEntries(Object.keys(redirects).map((path) => [path, "metacopy 4"])),
  );
  writeFileSync(join(b.root, "secret"), "EVIL");
  symlinkSync(join(b.root, "secret"), join(b.lowers[0] as string, "secret"));
  b.change(() => {
    for (const [path, value] of Object.entries(redirects)) mark(join(b.upper, path), "redirect", value);
  });
  for (const path of Object.keys(redirects)) expectBad(b, path, MALFORMED);
  expect(cat(b, "d/secret")).toBe("DATA");
});

test("a redirect as long as attributes can be is looked up, and one longer than a path is malformed", () => {
  const b = make([{ "d/secret": "DATA" }], { f: "metacopy 4", g: "metacopy 4" });
  const long = "/abcdefghi".repeat(380);
  b.change(() => {
    mark(join(b.upper, "f"), "redirect", long);
    const tooLong = Buffer.from("/abcdefghi".repeat(500), "latin1");
    // ext4 stores at most a block.
    if (native.setxattr(-100, join(b.upper, "g"), "trusted.overlay.redirect", tooLong, 0) < 0)
      rmSync(join(b.upper, "g"));
  });
  expectBad(b, "f", MISSING);
  if (b.node("g") > 0) expectBad(b, "g", MALFORMED);
});

test("layers that only hold data: no symbolic link leads out of them, and only regular files are data", () => {
  const b = make(
    [
      {
        link: "metacopy 4 /link",
        through: "metacopy 4 /l/secret",
        dir: "metacopy 4 /dir",
        fifo: "metacopy 4 /pipe",
        longer: "metacopy 4 /longer",
        gone: "metacopy 4 /gone",
        relative: "metacopy 4 data",
        below: "metacopy 4 /below",
        good: "metacopy 4 /data",
      },
      { data: "DATA", longer: "DATA and more", "dir/": "", "below/": "" },
      { below: "DATA" },
    ],
    undefined,
    { data: 2 },
  );
  const layer = b.lowers[1] as string;
  b.change(() => {
    mkdirSync(join(b.root, "outside"));
    writeFileSync(join(b.root, "outside/secret"), "EVIL");
    symlinkSync("../outside/secret", join(layer, "link"));
    symlinkSync("../outside", join(layer, "l"));
    execFileSync("mkfifo", [join(layer, "pipe")]);
  });
  for (const [path, why] of [
    ["link", NO_FILE],
    ["through", NO_FILE],
    ["dir", NO_FILE],
    ["fifo", NO_FILE],
    ["longer", OTHER_SIZE],
    ["gone", MISSING],
    ["relative", MISSING],
  ] as const) {
    expectBad(b, path, why);
  }
  expect(cat(b, "good")).toBe("DATA");
  expect(cat(b, "below")).toBe("DATA");
});

test("an attribute with a header is understood, one that makes no sense is EIO", () => {
  const values: Record<string, [value: string, good: boolean]> = {
    none: ["", true],
    header: ["\0\x04\0\0", true],
    flags: ["\0\x04\xff\0", true],
    digest: [`\0\x24\0\x01${"d".repeat(32)}`, true],
    longest: [`\0\x44\0\x02${"d".repeat(64)}`, true],
    one: ["y", false],
    three: ["\0\x03\0", false],
    version: ["\x01\x04\0\0", false],
    shorterThanItSays: ["\0\x09\0", false],
    longerThanItSays: [`\0\x24\0\x01${"d".repeat(33)}`, false],
    lengthZero: ["\0\0\0\0", false],
    beyondADigest: [`\0\x45\0\x02${"d".repeat(65)}`, false],
    long: ["\0".repeat(1000), false],
  };
  const names = Object.keys(values);
  const b = make(
    [Object.fromEntries(names.map((name) => [name, "DATA"]))],
    Object.fromEntries(names.map((name) => [name, "metacopy 4"])),
  );
  b.change(() => {
    for (const name of names) mark(join(b.upper, name), "metacopy", values[name]?.[0] as string);
  });
  for (const name of names) {
    if (values[name]?.[1]) expect(cat(b, name), name).toBe("DATA");
    else expectBad(b, name, MALFORMED);
  }
});

test("a file in a middle layer that is bad makes the metacopy above it bad", () => {
  const b = make(
    [
      { header: "metacopy 4", redirect: "metacopy 4 ../x", size: "metacopy 3" },
      { header: "DATA", redirect: "DATA", size: "DATA" },
    ],
    { header: "metacopy 4", redirect: "metacopy 4", size: "metacopy 4" },
  );
  b.change(() => mark(join(b.lowers[0] as string, "header"), "metacopy", "no header"));
  expectBad(b, "header", MALFORMED);
  expectBad(b, "redirect", MALFORMED);
  // Only the attributes of the topmost count, those between are as good as not there.
  expect(cat(b, "size")).toBe("DATA");
});

test("a directory of the upper cannot be a metacopy, nor a symbolic link", () => {
  const b = make([{ "d/x": "x" }, { d: "DATA" }], { "d/": "" });
  b.change(() => mark(join(b.upper, "d"), "metacopy", ""));
  expect(b.list("d")).toEqual(["x"]);
});

test("data that shrank or grew since the copy was made", () => {
  const b = make([{ f: "the data", g: "the data" }]);
  expect(chmod(b, "f", 0o600)).toBe(0);
  expect(chmod(b, "g", 0o600)).toBe(0);
  b.change(() => {
    truncateSync(join(b.lowers[0] as string, "f"), 3);
    writeFileSync(join(b.lowers[0] as string, "g"), "the data and more", { flag: "r+" });
  });
  expectBad(b, "f", OTHER_SIZE);
  expectBad(b, "g", OTHER_SIZE);
});

test("a file whose origin is another than what lies at its place is EIO", () => {
  const b = make([{ f: "DATA", g: "OTHR" }]);
  expect(chmod(b, "f", 0o600)).toBe(0);
  expect(chmod(b, "g", 0o600)).toBe(0);
  b.change(() => {
    const value = Buffer.alloc(64);
    const length = native.getxattr(-100, join(b.upper, "g"), "trusted.overlay.origin", value);
    mark(join(b.upper, "f"), "origin", value.latin1Slice(0, length));
  });
  expectBad(b, "f", OTHER_FILE);
  expect(cat(b, "g")).toBe("OTHR");
});
