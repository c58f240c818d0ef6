/** Command lines that cannot be: one clear line, an exit code, and nothing has changed. */
import { mkdirSync, readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { shown } from "../src/text.js";
import { type Area, twoLayers } from "./harness/area.js";
import { attempt, command, type Ended, shell } from "./harness/command.js";
import { cowfs, cowfsProgram } from "./harness/mounts.js";

let area: Area;

beforeEach(() => {
  area = twoLayers();
});

afterEach(async () => {
  expect(await area.remove()).toEqual([]);
});

const silent: Ended = { status: 0, stdout: "", stderr: "" };

/** Runs cowfs standing in the area. */
function here(...args: string[]): Promise<Ended> {
  return cowfs(args, { cwd: area.path });
}

describe("bad input is one line with the path, exit code 1 or 2, and changes nothing", () => {
  const wrong: [string, number, string[], RegExp][] = [
    ["a missing layer", 1, ["--lower", "l1:missing", "--upper", "up", "m"], /missing/],
    ["a file as a layer", 1, ["--lower", "l1/one", "--upper", "up", "m"], /l1\/one/],
    ["a file as the upper", 1, ["--lower", "l1", "--upper", "l1/one", "m"], /l1\/one/],
    [
      "a work directory in what is missing",
      1,
      ["--lower", "l1", "--upper", "up", "--work", "no/w", "m"],
      /no\/w: .*\/no does not exist: create it/,
    ],
    [
      "a work directory in a file",
      1,
      ["--lower", "l1", "--upper", "up", "--work", "l2/two/w", "m"],
      /two\/w: it, or something on the way to it, is not a directory/,
    ],
    [
      "an upper of a longer one",
      1,
      ["--lower", "l1", "--upper", "u".repeat(256), "--work", "w", "m"],
      /u+: the name is too long: name another/,
    ],
    ["a missing mountpoint", 1, ["--lower", "l1", "--upper", "up", "missing"], /missing/],
    ["a file as the mountpoint", 1, ["--lower", "l1", "--upper", "up", "l2/two"], /l2\/two/],
    ["the upper in a lower", 1, ["--lower", "l1", "--upper", "l1/up", "m"], /l1\/up/],
    ["a lower in the upper", 1, ["--lower", "u/l", "--upper", "u", "m"], /u\/l/],
    ["the work directory in the upper", 1, ["--lower", "l1", "--upper", "u", "--work", "u/w", "m"], /u\/w/],
    ["the mountpoint in the upper", 1, ["--lower", "l1", "--upper", "u", "u/l"], /u\/l/],
    ["a layer in the mountpoint", 1, ["--lower", "u/l", "u"], /u\/l/],
    ["work on another file system", 1, ["--lower", "l1", "--upper", "up", "--work", "other/w", "m"], /other\/w/],
    ["an upper without extended attributes", 1, ["--lower", "l1", "--upper", "/proc/sys/x", "m"], /\/proc\/sys/],
    ["too many layers", 1, ["--lower", new Array(501).fill("l1").join(":"), "m"], /501 .*500/],
    ["a log file that cannot be", 1, ["--lower", "l1", "--log", "missing/log", "m"], /missing\/log .*directory/],
    ["no lower", 2, ["--upper", "up", "m"], /--lower/],
    ["no mountpoint", 2, ["--lower", "l1"], /mountpoint/],
    ["an empty layer", 2, ["--lower", "l1:", "m"], /empty/],
    ["an unknown flag", 2, ["--lower", "l1", "--frobnicate", "m"], /--frobnicate/],
    ["a flag without its value", 2, ["m", "--lower"], /--lower/],
    ["an unknown transport", 2, ["--lower", "l1", "--transport", "pigeon", "m"], /pigeon/],
    ["a number that is none", 2, ["--lower", "l1", "-o", "timeout=0x10", "m"], /timeout=0x10 .* decimal digits/],
    ["a wrong value", 2, ["--lower", "l1", "-o", "xino=7", "m"], /xino=7/],
    ["an unknown option", 2, ["--lower", "l1", "-o", "lowerdri=l2", "m"], /did you mean lowerdir\?/],
  ];

  test.each(wrong)("%s", async (_, code, args, message) => {
    mkdirSync(area.at("u", "l"), { recursive: true });
    await area.directory("other", "tmpfs:1M");
    const before = (await shell("find . -printf '%p %C@\\n' | sort", { cwd: area.path })).trim();
    const { status, stdout, stderr } = await here("mount", ...args);
    expect(stderr).toMatch(/^cowfs: [^\n]+\n$/);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: code, stdout: "" });
    expect((await shell("find . -printf '%p %C@\\n' | sort", { cwd: area.path })).trim()).toBe(before);
    expect(area.mounts()).toEqual([area.at("other")]);
    await command("umount", [area.at("other")]);
  });

  test("an upper or a work directory in use", async () => {
    mkdirSync(area.at("m2"));
    expect(await here("mount", "--lower", "l1", "--upper", "up", "--work", "w", "m")).toEqual(silent);
    for (const args of [
      ["--upper", "up", "--work", "w2"],
      ["--upper", "up2", "--work", "w"],
    ]) {
      const { status, stderr } = await here("mount", "--lower", "l1", ...args, "m2");
      expect(status).toBe(1);
      expect(stderr).toMatch(/^cowfs: .*(up|w) is in use by another mount, whose driver is process \d+: .+\n$/);
    }
    expect(readdirSync(area.path).sort()).toEqual(["l1", "l2", "m", "m2", "up", "w"]);
    expect(await here("umount", "m")).toEqual(silent);
  });

  test("nothing can be made: no room, too long a name, no permission", async () => {
    await area.directory("small", "tmpfs:4k,nr_inodes=1");
    const full = await here("mount", "--lower", "l1", "--upper", "small/up", "--work", "small/w", "m");
    expect(full.stderr).toMatch(
      /^cowfs: .* upper layer \S*\/small\/up: no space or no inode is left on the file system: make room, or .*\n$/,
    );
    const long = await here("mount", "--lower", "l1", "--upper", "u".repeat(255), "m");
    expect(long.stderr).toMatch(
      /^cowfs: .* work directory \S*\/\.u+\.work: the name is too long: name another with --work\n$/,
    );
    // Root of a user namespace may not write where the user behind it may not.
    const user = 'exec setpriv --reuid 1000 --regid 1000 --clear-groups unshare -Urm "$0"';
    const refused = await attempt("sh", ["-c", `${user} mount --lower l1 --upper up m`, cowfsProgram], {
      cwd: area.path,
    });
    expect(refused.stderr).toMatch(
      /^cowfs: .* upper layer \S*\/up: no permission to write in \S+: give it to the user who mounts, or .*\n$/,
    );
    expect([full, long, refused].map(({ status }) => status)).toEqual([1, 1, 1]);
    expect(readdirSync(area.path).sort()).toEqual(["l1", "l2", "m", "small"]);
    await command("umount", [area.at("small")]);
  });

  test("an implied mountpoint does not stay after a failure", async () => {
    const { status } = await here("mount", "--lower", "missing", "--upper", "up");
    expect(status).toBe(1);
    expect(readdirSync(area.path).sort()).toEqual(["l1", "l2", "m"]);
  });

  test("wrong commands", async () => {
    const ended = await here("help", "mont");
    expect(ended).toEqual({ status: 2, stdout: "", stderr: "cowfs: unknown command 'mont' (Did you mean mount?)\n" });
    expect(await here("help", "image", "lod")).toEqual({
      status: 2,
      stdout: "",
      stderr: expect.stringContaining("unknown command 'lod' (Did you mean load?)"),
    });
    const load = await here("image", "load", "--help");
    expect(load.stdout).toMatch(/^Usage: cowfs image load /);
    expect(await here("help", "image", "load")).toEqual(load);
    expect(await here("--root", "elsewhere", "help", "image", "load")).toEqual(load);
    for (const args of [[], ["frobnicate"], ["help", "frobnicate"], ["umount"], ["umount", ""], ["mounts", "--xml"]]) {
      const { status, stdout, stderr } = await here(...args);
      expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
      expect(stderr).not.toBe("");
    }
    expect((await here("--version")).stdout).toMatch(/^cowfs \d+\.\d+\.\d+\n$/);
    expect((await here("--help")).status).toBe(0);
    const { status, stdout } = await here("mount", "-h");
    expect(status).toBe(0);
    expect(shown(stdout)).toContain("TARGET[:OPTION,…]");
    for (const name of ["ps", "mount"]) {
      expect(shown((await here(name, "--größe")).stderr)).toMatch(/^cowfs: unknown option '--größe'/);
    }
  });
});
