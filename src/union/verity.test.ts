/** fs-verity digests in metacopies, as `verity=` wants them. The digests are told by a double: few kernels have fs-verity. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EIO, EMFILE, ENODATA, ENOTTY } from "../errno.js";
import { native } from "../native/index.js";
import type { Verity } from "./metacopy-mark.js";
import { write } from "./ops/data.js";
import { getattr } from "./ops/getattr.js";
import { noChange, type SetAttr, setattr } from "./ops/setattr.js";
import { Bench, cat, mark } from "./testing.js";

const MEASURE = 0xc0046686;
const digest = "0123456789abcdef0123456789abcdef";
const withDigest = `\0\x24\0\x01${digest}`;
const refused = `error ${-EIO}`;
const nothing: SetAttr = { ...noChange(), valid: 1, mode: 0o600 };

let bench: Bench | undefined;
afterEach(() => {
  vi.restoreAllMocks();
  bench?.close();
  bench = undefined;
});

/** Digests by the content of a file; the others have none. Any other ioctl is the real one. */
function measures(digests: Record<string, { algorithm: number; digest: string } | number>): () => number {
  const real = native.ioctl.bind(native);
  let asked = 0;
  vi.spyOn(native, "ioctl").mockImplementation((fd, command, data) => {
    if (command !== MEASURE) return real(fd, command, data);
    asked++;
    const content = Buffer.alloc(100);
    const found = digests[content.latin1Slice(0, native.pread(fd, content, 0, 100, 0))];
    if (found === undefined) return -ENODATA;
    if (typeof found === "number") return found;
    const out = Buffer.from(data.buffer, data.byteOffset, data.length);
    expect(out.readUInt16LE(2)).toBe(64);
    out.writeUInt16LE(found.algorithm, 0);
    out.writeUInt16LE(found.digest.length, 2);
    out.write(found.digest, 4, "latin1");
    return 0;
  });
  return () => asked;
}

function make(verity: Verity): Bench {
  const names = ["good", "other", "longer", "none", "bare", "odd"];
  const data = { good: "GOOD", other: "OTHR", longer: "LONG", none: "NONE", bare: "GOOD", odd: "ODD " };
  const b = new Bench([data], Object.fromEntries(names.map((name) => [name, "metacopy 4"])), { verity });
  bench = b;
  b.change(() => {
    for (const name of names) if (name !== "bare") mark(join(b.upper, name), "metacopy", withDigest);
  });
  return b;
}

const told = {
  GOOD: { algorithm: 1, digest },
  OTHR: { algorithm: 1, digest: digest.toUpperCase() },
  LONG: { algorithm: 2, digest: digest + digest },
  "ODD ": { algorithm: 2, digest },
};
const another = "the data of a metacopy has another digest";
const put = (b: Bench, path: string): number => write(b.u, b.node(path), Buffer.from("x"), 0, 1, 0, null, false);

test("off: nobody is asked, and the data is believed", () => {
  const b = make("off");
  const asked = measures(told);
  for (const [path, text] of Object.entries({ good: "GOOD", other: "OTHR", none: "NONE", bare: "GOOD" })) {
    expect(cat(b, path)).toBe(text);
  }
  expect(asked()).toBe(0);
});

test.each([
  "on",
  "require",
] as const)("%s: data with another digest, or without one, is EIO, to be read and to be copied", (verity) => {
  const b = make(verity);
  measures(told);
  expect(cat(b, "good")).toBe("GOOD");
  for (const [path, why] of [
    ["other", another],
    ["longer", another],
    ["odd", another],
    ["none", "the data of a metacopy with a digest has no fs-verity"],
    ...(verity === "on" ? [] : ([["bare", "a metacopy without a digest, which verity=require demands"]] as const)),
  ] as const) {
    b.messages.length = 0;
    for (let times = 0; times < 2; times++) {
      expect(cat(b, path), path).toBe(refused);
      expect(put(b, path), path).toBe(-EIO);
    }
    expect(b.messages, path).toEqual([why]);
    expect(getattr(b.u, b.node(path)), path).toBe(0);
    expect(setattr(b.u, b.node(path), nothing), path).toBe(0);
  }
  if (verity === "on") expect(cat(b, "bare")).toBe("GOOD");
  expect(put(b, "good")).toBe(1);
  expect(cat(b, "good")).toBe("xOOD");
});

test("an error of the moment is no verdict", () => {
  const b = make("on");
  const digests: Parameters<typeof measures>[0] = { ...told, GOOD: -EMFILE };
  measures(digests);
  expect(cat(b, "good")).toBe(`error ${-EMFILE}`);
  digests["GOOD"] = told.GOOD;
  expect(cat(b, "good")).toBe("GOOD");
  expect(b.messages.filter((message) => message.includes("metacopy"))).toEqual([]);
});

test("a copy without data notes the digest of its data; where none is and one is demanded, the data comes along", () => {
  for (const verity of ["off", "on", "require"] as const) {
    const b = new Bench([{ f: "GOOD", g: "NONE" }], undefined, { verity });
    bench = b;
    measures(told);
    for (const path of ["f", "g"]) expect(setattr(b.u, b.node(path), nothing)).toBe(0);
    const attribute = (path: string): string => {
      const value = Buffer.alloc(100);
      const length = native.getxattr(-100, join(b.upper, path), "trusted.overlay.metacopy", value);
      return length < 0 ? String(length) : value.latin1Slice(0, length);
    };
    expect(attribute("f")).toBe(verity === "off" ? "" : withDigest);
    expect(attribute("g")).toBe(verity === "require" ? String(-ENODATA) : "");
    expect(readFileSync(join(b.upper, "g"), "latin1")).toBe(verity === "require" ? "NONE" : "\0\0\0\0");
    b.reopen();
    expect([cat(b, "f"), cat(b, "g")]).toEqual(["GOOD", "NONE"]);
    expect(put(b, "f")).toBe(1);
    expect(attribute("f")).toBe(String(-ENODATA));
    expect(statSync(join(b.upper, "f")).size).toBe(4);
    vi.restoreAllMocks();
    b.close();
    expect(existsSync(b.root)).toBe(false);
    bench = undefined;
  }
});

test("a file system that knows of no digests has none", () => {
  const b = make("on");
  measures({ ...told, GOOD: -ENOTTY });
  expect(cat(b, "good")).toBe(refused);
  expect(cat(b, "bare")).toBe("GOOD");
});
