import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Area, twoLayers } from "./harness/area.js";
import { attempt, command, type Ended, shell } from "./harness/command.js";
import { cowfs, cowfsProgram, processEnd } from "./harness/mounts.js";
import { mountAt } from "./harness/namespace.js";

interface ListedMount {
  readonly mountpoint: string;
  readonly pid: number | null;
  readonly upper: string | null;
  readonly lowers: readonly string[] | null;
  readonly readOnly: boolean;
  readonly source: string;
}

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

async function listed(): Promise<ListedMount[]> {
  const { status, stdout } = await here("mounts", "--json");
  expect(status).toBe(0);
  return (JSON.parse(stdout) as ListedMount[]).filter((mount) => mount.mountpoint.startsWith(area.path));
}

async function driverOf(mountpoint: string): Promise<number> {
  const mounts = await listed();
  const pid = mounts.find((mount) => mount.mountpoint === mountpoint)?.pid;
  if (typeof pid !== "number") throw new Error(`no driver is listed for ${mountpoint}: ${JSON.stringify(mounts)}`);
  return pid;
}

/** Unmounts with a program that does not wait for the driver, and waits. */
async function unmountWith(program: string, ...args: string[]): Promise<void> {
  const pid = await driverOf(area.at("m"));
  await command(program, [...args, area.at("m")]);
  expect(await processEnd(pid, 60_000)).toBe(true);
}

describe("mount", () => {
  test("relative paths, repeated and escaped lowers, symlinks to layers", async () => {
    mkdirSync(area.at("odd:name"));
    writeFileSync(area.at("odd:name", "three"), "3");
    symlinkSync("l2", area.at("link"));
    expect(await here("mount", "--lower", "l1:link", "--lower", "odd\\:name", "--upper", "up", "m")).toEqual(silent);
    expect(readdirSync(area.at("m")).sort()).toEqual(["one", "three", "two"]);
    writeFileSync(area.at("m", "new"), "x");
    expect(readFileSync(area.at("up", "new"), "utf8")).toBe("x");
    expect(await listed()).toMatchObject([
      { lowers: [area.at("l1"), area.at("link"), area.at("odd:name")], upper: area.at("up"), readOnly: false },
    ]);
    expect(await here("umount", "m")).toEqual(silent);
  });

  test("the daemon is a session of its own, stands in /, and holds nothing of its caller", async () => {
    const child = spawn(cowfsProgram, ["mount", "--lower", "l1", "m"], {
      cwd: area.path,
      stdio: ["pipe", "pipe", "pipe", "pipe", ...new Array<"ignore">(16).fill("ignore"), "pipe"],
    });
    // If the daemon kept one of these pipes it would not close.
    const pipes = [1, 2, 3, 20].map((fd) => child.stdio[fd] as NodeJS.ReadableStream);
    await Promise.all(pipes.map((pipe) => new Promise((resolve) => pipe.resume().once("close", resolve))));
    const pid = await driverOf(area.at("m"));
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
    for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe("/dev/null");
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
    expect(Number(fields[3])).toBe(pid);
    const descriptors = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    expect(descriptors.filter((target) => target.startsWith("socket:"))).toEqual([]);
    expect(await here("umount", "m")).toEqual(silent);
  });

  test("without a mountpoint it is beside the upper, and printed", async () => {
    expect(await here("mount", "--lower", "l1", "--upper", "up/")).toEqual({
      ...silent,
      stdout: `${area.at("up.merged")}\n`,
    });
    expect(existsSync(area.at("up.merged", "one"))).toBe(true);
    expect(await here("umount", "up.merged")).toEqual(silent);
  });

  test("nosymfollow: symbolic links can be read, and lead nowhere", async () => {
    symlinkSync("one", area.at("l1", "link"));
    expect(await here("mount", "--lower", "l1", "-o", "nosymfollow", "m")).toEqual(silent);
    expect(readlinkSync(area.at("m", "link"))).toBe("one");
    expect(() => readFileSync(area.at("m", "link"))).toThrow("ELOOP");
    expect(await here("umount", "m")).toEqual(silent);
  });

  test("names that are not UTF-8", async () => {
    await shell(`mkdir $'l\\xff' $'m\\xe9'; echo x > $'l\\xff/f'`, { cwd: area.path });
    await shell(`"$COWFS" mount --lower $'l\\xff' --upper $'u\\xfe' $'m\\xe9'; cat $'m\\xe9/f'; echo y > $'m\\xe9/g'`, {
      cwd: area.path,
      env: { ...process.env, COWFS: cowfsProgram },
    });
    expect(await shell(`cat $'u\\xfe/g'`, { cwd: area.path })).toBe("y\n");
    expect((await here("mounts")).stdout).toContain(`${area.path}/m\\xe9`);
    // The way back is that of Python's file names: a lone surrogate is a byte.
    const back = `import json, os, sys
mount = next(one for one in json.load(sys.stdin) if one["mountpoint"].startswith(sys.argv[1] + "/m"))
print(os.fsencode(mount["mountpoint"])[-2:], os.fsencode(mount["lowers"][0])[-2:], os.fsencode(mount["upper"])[-2:])`;
    expect(await shell(`"${cowfsProgram}" mounts --json | python3 -c '${back}' ${area.path}`)).toBe(
      "b'm\\xe9' b'l\\xff' b'u\\xfe'\n",
    );
    await shell(`"$COWFS" umount $'m\\xe9'`, {
      cwd: area.path,
      env: { ...process.env, COWFS: cowfsProgram },
    });
  });

  test("--log is appended to, with debug lines only under --debug", async () => {
    writeFileSync(area.at("log"), "before\n");
    expect(await here("mount", "--lower", "l1", "--log", "log", "m")).toEqual(silent);
    readdirSync(area.at("m"));
    expect(await here("umount", "m")).toEqual(silent);
    expect(readFileSync(area.at("log"), "utf8")).toMatch(/^before\n/);
    expect(readFileSync(area.at("log"), "utf8")).not.toContain("OPENDIR");
    const said = await here("mount", "--lower", "l1", "--log", "log", "-d", "-o", "nfs_export=on", "m");
    expect(said).toEqual({ ...silent, stderr: expect.stringMatching(/^cowfs: nfs_export=on is ignored: .*\n$/) });
    readdirSync(area.at("m"));
    expect(await here("umount", "m")).toEqual(silent);
    expect(readFileSync(area.at("log"), "utf8")).toContain("nfs_export=on is ignored");
    expect(readFileSync(area.at("log"), "utf8")).toContain("OPENDIR");
  });

  test("--foreground stays, logs JSON lines to stderr, and ends with 0 when it is unmounted", async () => {
    const running = cowfs(["mount", "--foreground", "--debug", "--lower", area.at("l1"), area.at("m")]);
    while (mountAt(area.at("m")) === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(readdirSync(area.at("m"))).toEqual(["one"]);
    await command("umount", [area.at("m")]);
    const { status, stdout, stderr } = await running;
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    for (const line of stderr.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("msg");
  });

  test("a driver that dies before it is ready is reported", async () => {
    const { status, stderr } = await attempt(cowfsProgram, ["mount", "--lower", "l1", "m"], {
      cwd: area.path,
      env: { ...process.env, NODE_OPTIONS: `--import=${killer()}` },
    });
    expect(stderr).toBe("cowfs: the driver ended before the mount was ready (killed by SIGKILL)\n");
    expect(status).toBe(1);
  });
});

/** A module that kills the process it is loaded into if that is a driver. */
function killer(): string {
  const path = area.at("killer.mjs");
  writeFileSync(path, 'if (process.argv.includes("--launched")) process.kill(process.pid, "SIGKILL");\n');
  return path;
}

describe("as a helper of other programs", () => {
  /** A directory with the program under a name, for PATH. */
  function named(name: string): string {
    mkdirSync(area.at("bin"), { recursive: true });
    symlinkSync(cowfsProgram, area.at("bin", name));
    return area.at("bin");
  }

  test("mount -t fuse.cowfs", async () => {
    // mount(8) does not hand on PATH: the helper finds programs where the shell looks by itself.
    await command("mount", ["--bind", named("cowfs"), "/usr/local/sbin"]);
    onTestFinished(async () => {
      await command("umount", ["/usr/local/sbin"]);
    });
    const options = `lowerdir=${area.at("l1")}:${area.at("l2")},upperdir=${area.at("up")},workdir=${area.at("work")},nosuid,nodev`;
    const ended = await attempt("mount", ["-t", "fuse.cowfs", "some-source", area.at("m"), "-o", options]);
    expect(ended).toEqual(silent);
    const mount = mountAt(area.at("m"));
    expect(mount).toMatchObject({ type: "fuse.cowfs", source: "some-source" });
    expect(mount?.options).toContain("nosuid");
    expect(mount?.options).toContain("nodev");
    expect(readdirSync(area.at("m")).sort()).toEqual(["one", "two"]);
    expect(await attempt("mount", ["-o", "remount,ro", area.at("m")])).toEqual(silent);
    expect(() => writeFileSync(area.at("m", "new"), "")).toThrow(/EROFS/);
    expect(mountAt(area.at("m"))?.options).toMatch(/^ro,nosuid,nodev/);
    expect(await attempt("mount", ["-o", "remount,rw", area.at("m")])).toEqual(silent);
    writeFileSync(area.at("m", "new"), "");
    await unmountWith("umount");
  });

  test("the helper of mount(8), which takes -f for a rehearsal", async () => {
    const helper = `${named("mount.fuse.cowfs")}/mount.fuse.cowfs`;
    expect(await attempt(helper, ["src", area.at("m"), "-f", "-o", `lowerdir=${area.at("l1")}`])).toEqual(silent);
    expect(mountAt(area.at("m"))).toBeUndefined();
    const ended = await attempt(helper, ["src", area.at("m"), "-s", "-n", "-o", `rw,lowerdir=${area.at("l1")}`]);
    expect(ended).toEqual(silent);
    expect(mountAt(area.at("m"))?.source).toBe("src");
    await unmountWith("umount");
  });

  test("what they name and nobody knows is said, and skipped", async () => {
    const ended = await here("-o", "lowerdir=l1,voltaile", area.at("m"));
    expect(ended).toEqual({
      ...silent,
      stderr: "cowfs: skipped: the mount option voltaile is unknown: did you mean volatile?\n",
    });
    expect(readdirSync(area.at("m"))).toEqual(["one"]);
    await unmountWith("umount");
  });

  test("the line podman writes", async () => {
    const options = "lowerdir=l1:l2,upperdir=up,workdir=work,,volatile";
    mkdirSync(area.at("up"));
    mkdirSync(area.at("work"));
    expect(await here("-o", options, area.at("m"))).toEqual(silent);
    expect(readdirSync(area.at("m")).sort()).toEqual(["one", "two"]);
    await unmountWith("fusermount3", "-u");
    expect(await here("-o", "lowerdir=l1:l2,upperdir=up,workdir=work,", area.at("m"))).toEqual(silent);
    await unmountWith("umount");
  });
});

describe("mount -o remount", () => {
  const remount = (options: string): Promise<Ended> => here("mount", "-o", `remount,${options}`, "m");

  test("changes what is asked for, and nothing else", async () => {
    await here("mount", "--lower", "l1", "--upper", "up", "-o", "nodev,sync", "m");
    expect(await remount("ro,nosuid")).toEqual(silent);
    expect(mountAt(area.at("m"))).toMatchObject({ options: "ro,nosuid,nodev,noatime" });
    expect(() => writeFileSync(area.at("m", "new"), "")).toThrow(/EROFS/);
    expect(await remount("rw,suid")).toEqual(silent);
    expect(mountAt(area.at("m"))).toMatchObject({
      options: "rw,nodev,noatime",
      superOptions: expect.stringContaining("rw,sync,"),
    });
    writeFileSync(area.at("m", "new"), "");
    await unmountWith("umount");
  });

  test("is refused where it cannot have its effect", async () => {
    await here("mount", "--lower", "l1", "m");
    expect(await remount("rw")).toMatchObject({ status: 1, stderr: expect.stringContaining("has no upper layer") });
    await unmountWith("umount");
    await here("mount", "--lower", "l1", "--upper", "up", "m");
    const open = openSync(area.at("m", "new"), "w");
    expect(await remount("ro")).toMatchObject({ status: 1, stderr: expect.stringContaining("open for writing") });
    closeSync(open);
    expect(await remount("io=cached")).toMatchObject({ status: 2, stderr: expect.stringContaining("io=cached") });
    for (const flags of [
      ["--lower", "l2"],
      ["--work", "w"],
      ["--io", "cached"],
      ["--foreground"],
      ["--storage-opt", "size=1G"],
    ]) {
      const refused = await here("mount", ...flags, "-o", "remount,ro", "m");
      expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining("options (-o) alone") });
    }
    expect(await here("mount", "-o", "remount,ro", "a", "b", "m")).toMatchObject({ status: 2, stdout: "" });
    expect(mountAt(area.at("m"))?.options).toBe("rw,noatime");
    await unmountWith("umount");
    expect(await remount("ro")).toMatchObject({ status: 1, stderr: expect.stringContaining("not a mount of cowfs") });
  });
});

describe("the end of a mount", () => {
  const ways: [string, (at: string, pid: number) => Promise<unknown> | unknown][] = [
    ["umount", (at) => command("umount", [at])],
    ["umount -l", (at) => command("umount", ["-l", at])],
    ["fusermount3 -u", (at) => command("fusermount3", ["-u", at])],
    ["cowfs umount", (at) => cowfs(["umount", at])],
    ["cowfs umount --lazy", (at) => cowfs(["umount", "--lazy", at])],
    ["SIGTERM", (_, pid) => process.kill(pid, "SIGTERM")],
    ["SIGINT", (_, pid) => process.kill(pid, "SIGINT")],
  ];

  test.each(ways)("%s ends the driver, unmounts, and a new mount works at once", async (_, end) => {
    for (let round = 0; round < 3; round++) {
      expect(await here("mount", "--lower", "l1", "--upper", "up", "m")).toEqual(silent);
      writeFileSync(area.at("m", "f"), `${round}`);
      const pid = await driverOf(area.at("m"));
      await end(area.at("m"), pid);
      // Not waited for: the lock of the upper may still be held by the driver that ends.
      if (mountAt(area.at("m")) === undefined) {
        expect(await here("mount", "--lower", "l1", "--upper", "up", "m")).toEqual(silent);
        expect(readFileSync(area.at("m", "f"), "utf8")).toBe(`${round}`);
        expect(await here("umount", "m")).toEqual(silent);
      }
      expect(await processEnd(pid, 60_000)).toBe(true);
      expect(mountAt(area.at("m"))).toBeUndefined();
    }
  });

  test("a busy mount is not ended; who uses it is named; --lazy detaches it", async () => {
    expect(await here("mount", "--lower", "l1", "--upper", "up", "m")).toEqual(silent);
    const pid = await driverOf(area.at("m"));
    const user = spawn("sleep", ["60"], { cwd: area.at("m"), stdio: "ignore" });
    const { status, stdout, stderr } = await here("umount", "m");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe(
      `cowfs: ${area.at("m")} is in use: process ${user.pid} (sleep) works in ${area.at("m")}. ` +
        "End them, or detach it with cowfs umount --lazy\n",
    );
    expect(await here("umount", "--lazy", "m")).toEqual(silent);
    expect(mountAt(area.at("m"))).toBeUndefined();
    user.kill("SIGKILL");
    expect(await processEnd(pid, 60_000)).toBe(true);
  });

  test("a mount that is a layer of another goes at once, and what keeps its driver is named", async () => {
    mkdirSync(area.at("m2"));
    expect(await here("mount", "--lower", "l1", "--upper", "up", "m")).toEqual(silent);
    const pid = await driverOf(area.at("m"));
    expect(await here("mount", "--lower", "m:l2", "m2")).toEqual(silent);
    expect(await here("umount", "m")).toEqual({
      status: 0,
      stdout: "",
      stderr:
        `cowfs: ${area.at("m")} is unmounted, but it is a layer of the mount on ${area.at("m2")}: ` +
        `the driver (process ${pid}) serves that, and its layers stay locked, until it is unmounted too\n`,
    });
    expect(mountAt(area.at("m"))).toBeUndefined();
    expect(readdirSync(area.at("m2")).sort()).toEqual(["one", "two"]);
    expect(await here("umount", "m2")).toEqual(silent);
    expect(await processEnd(pid, 60_000)).toBe(true);
  });

  test("a driver that ends late takes nothing from the mount that has its device number by then", async () => {
    const minor = (path: string) => mountAt(path)?.device;
    expect(await here("mount", "--lower", "l1", "--upper", "up", "m")).toEqual(silent);
    const first = { pid: await driverOf(area.at("m")), minor: minor(area.at("m")) };
    process.kill(first.pid, "SIGSTOP");
    await command("umount", ["-l", area.at("m")]);
    // The kernel gives the lowest free number, which may be another's here: then this shows less.
    const others = ["m1", "m2", "m3"].map((name) => area.at(name));
    for (const other of others) {
      mkdirSync(other);
      expect(await here("mount", "--lower", "l2", other)).toEqual(silent);
      if (minor(other) === first.minor) break;
    }
    const before = await listed();
    process.kill(first.pid, "SIGCONT");
    expect(await processEnd(first.pid, 60_000)).toBe(true);
    expect(before.map((mount) => [mount.mountpoint, mount.lowers])).toEqual(
      before.map((_, at) => [others[at], [area.at("l2")]]),
    );
    expect(await listed()).toEqual(before);
    for (const { mountpoint } of before) expect(await here("umount", mountpoint)).toEqual(silent);
  });

  test("what is not a mount of cowfs is left alone", async () => {
    await command("mount", ["-t", "tmpfs", "none", area.at("m")]);
    for (const path of ["m", "l1", "missing"]) {
      const { status, stderr } = await here("umount", path);
      expect(status).toBe(1);
      const why = path === "missing" ? "does not exist" : "is not a mount of cowfs";
      expect(stderr).toBe(`cowfs: ${area.at(path)} ${why}: see cowfs mounts\n`);
    }
    await command("umount", [area.at("m")]);
  });

  test("mounts lists what there is, and drops what has gone", async () => {
    expect(await listed()).toEqual([]);
    expect(await here("mount", "--lower", "l1:l2", "-o", "fsname=name", "m")).toEqual(silent);
    expect(await listed()).toMatchObject([
      { mountpoint: area.at("m"), readOnly: true, upper: null, source: "name", lowers: [area.at("l1"), area.at("l2")] },
    ]);
    const { stdout } = await here("mounts");
    expect(stdout).toMatch(/^MOUNTPOINT +MODE +PID +UPPER +LOWERS\n/);
    expect(stdout).toContain(`${area.at("l1")}:${area.at("l2")}\n`);
    expect(await here("umount", "m")).toEqual(silent);
    expect(await listed()).toEqual([]);
  });
});
