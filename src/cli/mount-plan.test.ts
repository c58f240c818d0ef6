import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UsageError } from "./exit.js";
import { type MountWords, planMount } from "./mount-plan.js";

let cwd: string;

beforeAll(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), "cowfs-plan-")));
  mkdirSync(join(cwd, "real"));
  symlinkSync("real", join(cwd, "link"));
});

afterAll(() => rmSync(cwd, { recursive: true }));

function plan(words: Partial<MountWords>) {
  return planMount({ positionals: [], lower: [], options: [], ...words }, cwd, true);
}

test("flags and their equivalents in -o give the same plan", () => {
  const flags = plan({ lower: ["l1:l2"], upper: "u", work: "w", volatile: true, positionals: ["m"] });
  const options = plan({ options: ["lowerdir=l1:l2,upperdir=u,workdir=w,volatile"], positionals: ["m"] });
  expect(options).toEqual(flags);
  expect(flags.config).toMatchObject({
    lowers: [`${cwd}/l1`, `${cwd}/l2`],
    upper: `${cwd}/u`,
    work: `${cwd}/w`,
    mountpoint: `${cwd}/m`,
    source: "cowfs",
    readOnly: false,
    transport: "kernel",
  });
});

test("relative paths start at the caller's directory; `..` is left to the kernel", () => {
  const { config } = plan({ lower: ["./a//b/", "../c"], log: "x.log", positionals: ["m"] });
  expect(config.lowers).toEqual([`${cwd}/a/b`, `${cwd}/../c`]);
  expect(plan({ lower: ["a"], log: "x.log", positionals: ["m"] }).log).toBe(`${cwd}/x.log`);
});

test("the mountpoint is named as the kernel's mount table names it", () => {
  expect(plan({ lower: ["a"], positionals: ["link/"] }).config.mountpoint).toBe(`${cwd}/real`);
  expect(plan({ lower: ["a"], positionals: ["link/missing"] }).config.mountpoint).toBe(`${cwd}/real/missing`);
});

test("a source before the mountpoint", () => {
  expect(plan({ lower: ["a"], positionals: ["overlay", "m"] }).config).toMatchObject({
    source: "overlay",
    mountpoint: `${cwd}/m`,
  });
  expect(plan({ lower: ["a"], options: ["fsname=x"], positionals: ["overlay", "m"] }).config.source).toBe("x");
});

test("without a mountpoint: beside the upper", () => {
  const made = plan({ lower: ["a"], upper: "up/" });
  expect(made.config.mountpoint).toBe(`${cwd}/up.merged`);
  expect(made.impliedMountpoint).toBe(true);
  expect(plan({ lower: ["a"], upper: "up", positionals: ["m"] }).impliedMountpoint).toBe(false);
});

test("read-only: without an upper, with ro, with -r; -w undoes ro", () => {
  expect(plan({ lower: ["a"], positionals: ["m"] }).config.readOnly).toBe(true);
  expect(plan({ lower: ["a"], upper: "u", options: ["ro"] }).config.readOnly).toBe(true);
  expect(plan({ lower: ["a"], upper: "u", readOnly: true }).config.readOnly).toBe(true);
  expect(plan({ lower: ["a"], upper: "u", options: ["ro"], readOnly: false }).config.readOnly).toBe(false);
});

test("an unknown option is wrong usage, but for another program that calls", () => {
  expect(() => plan({ lower: ["a"], options: ["odd"], positionals: ["m"] })).toThrow(UsageError);
  expect(plan({ lower: ["a"], options: ["odd,workdir=w"], asHelper: true, positionals: ["m"] }).remarks).toEqual([
    "skipped: the mount option odd is unknown: cowfs mount --help lists those that are known",
    "workdir means nothing without upperdir and is skipped",
  ]);
  expect(plan({ lower: ["a"], options: ["debug"], positionals: ["m"] }).config.debug).toBe(true);
});

test("metacopies need redirects", () => {
  const config = (options: string) => plan({ lower: ["a"], options: [options], positionals: ["m"] }).config;
  expect(config("redirect_dir=on")).not.toHaveProperty("metacopy");
  expect(config("redirect_dir=off")).toMatchObject({ metacopy: false, redirectDir: "follow" });
  expect(config("metacopy=on,redirect_dir=on").metacopy).toBe(true);
  expect(() => config("metacopy=on,redirect_dir=follow")).toThrow(UsageError);
});

test("paths keep bytes that are not UTF-8", () => {
  expect(plan({ lower: ["\xff\xfe"], upper: "\xe9", positionals: ["m"] }).config).toMatchObject({
    lowers: [`${cwd}/\xff\xfe`],
    upper: `${cwd}/\xe9`,
  });
});

test.each<[string, Partial<MountWords>]>([
  ["no lower", { upper: "u", positionals: ["m"] }],
  ["no mountpoint and no upper", { lower: ["a"] }],
  ["three places", { lower: ["a"], positionals: ["s", "m", "x"] }],
  ["an empty mountpoint", { lower: ["a"], positionals: [""] }],
  ["an empty upper", { lower: ["a"], upper: "", positionals: ["m"] }],
  ["--work without --upper", { lower: ["a"], work: "w", positionals: ["m"] }],
  ["an unknown transport", { lower: ["a"], transport: "pigeon", positionals: ["m"] }],
])("wrong usage: %s", (_, words) => {
  expect(() => plan(words)).toThrow(UsageError);
});
