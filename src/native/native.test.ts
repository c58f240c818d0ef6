/** System calls of the addon on temporary directories; root is assumed, as for the driver. */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import {
  EAGAIN,
  EBADF,
  EEXIST,
  EINVAL,
  ELOOP,
  ENAMETOOLONG,
  ENODEV,
  ENOENT,
  ENOSYS,
  ENOTDIR,
  EOPNOTSUPP,
  EROFS,
  ESRCH,
  EXDEV,
} from "../errno.js";
import { S_IFCHR, S_IFIFO, S_IFREG, STATX_ALL, Stat } from "../layer/stat.js";
import {
  AT_REMOVEDIR,
  LOCK_EX,
  LOCK_NB,
  MOUNT_ATTR_RDONLY,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
} from "./constants.js";
import { type Native, native } from "./index.js";
import { bytes, dir, eachInDirectory, fd, ok, openPath, path, stat, text } from "./testing.js";

eachInDirectory();
describe("the interface", () => {
  const source = fs.readFileSync(new URL("./index.ts", import.meta.url), "utf8");
  const names = [...source.matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1] as keyof Native);

  it("exports every function of it, and no other", () => {
    expect(names.length).toBeGreaterThan(50);
    expect(Object.keys(native).sort()).toEqual([...names].sort());
  });

  it("throws a TypeError for wrong arguments", () => {
    const withoutArguments = [
      "availableCpus",
      "now",
      "raiseFileLimit",
      "liftSizeLimit",
      "replyError",
      "pollStop",
      "jobsStop",
      "jobsCounter",
      "jobsWait",
      "canHash",
      "jobsPoll",
      "zstdOpen",
    ];
    for (const name of names.filter((each) => !withoutArguments.includes(each))) {
      const call = native[name] as (...wrong: unknown[]) => unknown;
      expect(() => call({}, {}, {}, {}, {}, {}, {}, {}), name).toThrow(TypeError);
      expect(() => call(), name).toThrow(TypeError);
    }
    expect(() => native.statfs(dir, new Uint16Array(200) as unknown as Uint8Array)).toThrow(TypeError);
  });
});

describe("names", () => {
  it("are bytes, up to 255 of them", () => {
    const odd = "\xff\x80\x01\n name\xc3".padEnd(255, "\xe9");
    fd(native.open(dir, odd, O_CREAT | O_WRONLY, 0o600));
    expect(fs.readdirSync(path, { encoding: "latin1" as BufferEncoding })).toEqual([odd]);
    expect(native.open(dir, "x".repeat(256), O_RDONLY, 0)).toBe(-ENAMETOOLONG);
  });

  it("are refused when too long for a path or with a NUL", () => {
    const out = new Uint8Array(256);
    expect(native.statx(dir, "/".repeat(4095), STATX_ALL, out)).toBe(0);
    expect(native.statx(dir, "/".repeat(4096), STATX_ALL, out)).toBe(-ENAMETOOLONG);
    expect(native.statx(dir, "/".repeat(100_000), STATX_ALL, out)).toBe(-ENAMETOOLONG);
    expect(native.statx(dir, "a\0b", STATX_ALL, out)).toBe(-EINVAL);
    expect(native.rename(dir, "a", dir, "b\0", 0)).toBe(-EINVAL);
  });
});

describe("opening", () => {
  it("does not follow a symbolic link, and closes on exec", () => {
    fs.writeFileSync(join(path, "file"), "data");
    fs.symlinkSync("file", join(path, "link"));
    expect(native.open(dir, "link", O_RDONLY, 0)).toBe(-ELOOP);
    const file = fd(native.open(dir, "file", O_RDONLY, 0));
    const follow = fd(native.openFollow(join(path, "link"), O_RDONLY));
    for (const each of [file, follow, fd(native.dup(file)), fd(native.reopen(file, O_RDONLY))]) {
      expect(fs.readFileSync(`/proc/self/fdinfo/${each}`, "utf8")).toMatch(/flags:\s+02\d{6}/);
      expect(stat(each, "").inoLow).toBe(stat(dir, "file").inoLow);
    }
  });

  it("beneath a directory refuses symbolic links anywhere, and leaving", () => {
    fs.mkdirSync(join(path, "a/b"), { recursive: true });
    fs.writeFileSync(join(path, "a/b/file"), "");
    fs.symlinkSync("b", join(path, "a/link"));
    fs.symlinkSync("/proc/self/fd", join(path, "magic"));
    fd(native.openBeneath(dir, "a/b/file", O_RDONLY));
    fd(native.openBeneath(dir, "a/../a/b", O_PATH | O_DIRECTORY));
    expect(stat(fd(native.openBeneath(dir, "", O_PATH)), "").inoLow).toBe(stat(dir, "").inoLow);
    expect(native.openBeneath(dir, "a/link/file", O_RDONLY)).toBe(-ELOOP);
    expect(native.openBeneath(dir, "a/link", O_PATH)).toBe(-ELOOP);
    expect(native.openBeneath(dir, `magic/${dir}`, O_PATH)).toBe(-ELOOP);
    expect(native.openBeneath(dir, "..", O_PATH)).toBe(-EXDEV);
    expect(native.openBeneath(dir, "a/../..", O_PATH)).toBe(-EXDEV);
    expect(native.openBeneath(dir, "/etc", O_PATH)).toBe(-EXDEV);
    expect(native.openBeneath(dir, "a/none", O_PATH)).toBe(-ENOENT);

    // As a process whose root this is.
    const inside = stat(fd(native.openInRoot(dir, "a/b/file", O_PATH)), "").inoLow;
    expect(stat(fd(native.openInRoot(dir, "/a/link/../../../a/b/file", O_PATH)), "").inoLow).toBe(inside);
    expect(native.openInRoot(dir, "a/b/none", O_RDONLY)).toBe(-ENOENT);
    expect(native.openInRoot(dir, `magic/${dir}`, O_PATH)).toBe(-ENOENT);
  });

  it("reopens an O_PATH descriptor, and never through a symbolic link", () => {
    fs.writeFileSync(join(path, "file"), "data");
    fs.symlinkSync("file", join(path, "link"));
    const out = new Uint8Array(8);
    expect(native.pread(openPath("file"), out, 0, 8, 0)).toBe(-EBADF);
    expect(native.pread(fd(native.reopen(openPath("file"), O_RDONLY)), out, 0, 8, 0)).toBe(4);
    expect(native.reopen(openPath("link"), O_RDONLY)).toBe(-ELOOP);
    expect(native.reopen(-1, O_RDONLY)).toBe(-EBADF);
    expect(native.close(-1)).toBe(-EBADF);
  });

  it("clones a mount that can be made read-only, the original staying as it is", () => {
    fs.writeFileSync(join(path, "file"), "data");
    const clone = fd(native.cloneMount(dir, 0));
    expect(native.setMountAttributes(clone, MOUNT_ATTR_RDONLY, 0, 0, 0)).toBe(0);
    expect(native.open(clone, "file", O_WRONLY, 0)).toBe(-EROFS);
    expect(native.chmod(clone, "file", 0o600)).toBe(-EROFS);
    fd(native.open(clone, "file", O_RDONLY, 0));
    fd(native.open(dir, "file", O_WRONLY, 0));
    expect(native.setMountAttributes(clone, 0, MOUNT_ATTR_RDONLY, 0, 0)).toBe(0);
    fd(native.open(clone, "file", O_WRONLY, 0));
  });
});

describe("directory entries", () => {
  it("getdents gives every record once, then 0", () => {
    const expected = [".", ".."];
    for (let i = 0; i < 500; i++) {
      fs.writeFileSync(join(path, `name-${i}`), "");
      expected.push(`name-${i}`);
    }
    const list = fd(native.reopen(dir, O_RDONLY | O_DIRECTORY));
    const out = Buffer.alloc(4096);
    const found: string[] = [];
    for (let used = ok(native.getdents(list, out)); used > 0; used = ok(native.getdents(list, out))) {
      for (let at = 0; at < used; at += out.readUInt16LE(at + 16)) {
        found.push(out.toString("latin1", at + 19, out.indexOf(0, at + 19)));
      }
    }
    expect(found.sort()).toEqual(expected.sort());
    expect(native.getdents(fd(native.open(dir, "name-0", O_RDONLY, 0)), out)).toBe(-ENOTDIR);
  });

  it("readlink, link, unlink and O_TMPFILE published by link", () => {
    const out = new Uint8Array(4096);
    fs.symlinkSync("some/where", join(path, "link"));
    expect(text(out, native.readlink(dir, "link", out))).toBe("some/where");
    expect(text(out, native.readlink(openPath("link"), "", out))).toBe("some/where");
    expect(native.link(dir, "link", dir, "link2")).toBe(0);
    expect(stat(dir, "link2").nlink).toBe(2);
    expect(native.link(openPath("link"), "", dir, "link3")).toBe(0);
    expect(native.link(dir, "link", dir, "link2")).toBe(-EEXIST);
    expect(native.unlink(dir, "link2", 0)).toBe(0);
    expect(native.unlink(dir, "link2", 0)).toBe(-ENOENT);
    expect(native.unlink(dir, "link", AT_REMOVEDIR)).toBe(-ENOTDIR);

    const file = fd(native.openAs(dir, ".", O_TMPFILE | O_RDWR, 0o640, 12, 34));
    expect(native.pwrite(file, bytes("hidden"), 0, 6, 0)).toBe(6);
    expect(native.link(file, "", dir, "shown")).toBe(0);
    expect(fs.readFileSync(join(path, "shown"), "utf8")).toBe("hidden");
    expect([stat(dir, "shown").uid, stat(dir, "shown").gid]).toEqual([12, 34]);
  });

  it("rename takes the kernel's flags", () => {
    fs.writeFileSync(join(path, "a"), "a");
    fs.writeFileSync(join(path, "b"), "b");
    expect(native.rename(dir, "a", dir, "b", RENAME_NOREPLACE)).toBe(-EEXIST);
    expect(native.rename(dir, "a", dir, "b", RENAME_EXCHANGE)).toBe(0);
    expect(fs.readFileSync(join(path, "a"), "utf8")).toBe("b");
    expect(native.rename(dir, "a", dir, "c", RENAME_WHITEOUT)).toBe(0);
    expect(stat(dir, "a").isWhiteoutDevice).toBe(true);
    expect(native.rename(dir, "c", dir, "b", 0)).toBe(0);
    expect(fs.readFileSync(join(path, "b"), "utf8")).toBe("b");
    expect(native.rename(dir, "a", dir, "b", RENAME_EXCHANGE | RENAME_NOREPLACE)).toBe(-EINVAL);
  });
});

describe("creating as the caller", () => {
  const capabilities = (): string => /CapEff:.*/.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[0] ?? "";
  const ids = (): string[] => [...fs.readFileSync("/proc/self/status", "utf8").matchAll(/^[UG]id:.*/gm)].map(String);

  it("gives the owner, in a directory only the driver may write, and the driver is root again", () => {
    const before = [capabilities(), ...ids()];
    const mask = native.umask(0);
    ok(native.chmod(dir, "", 0o700));
    fd(native.openAs(dir, "file", O_CREAT | O_EXCL | O_RDWR, 0o666, 1000, 2000));
    expect(native.mkdirAs(dir, "sub", 0o1777, 1000, 2000)).toBe(0);
    expect(native.mknodAs(dir, "fifo", S_IFIFO | 0o622, 0, 0, 1000, 2000)).toBe(0);
    expect(native.mknodAs(dir, "device", S_IFCHR | 0o600, 10, 229, 1000, 2000)).toBe(0);
    expect(native.symlinkAs("target \xff", dir, "link", 1000, 2000)).toBe(0);
    for (const name of ["file", "sub", "fifo", "device", "link"]) {
      expect([name, stat(dir, name).uid, stat(dir, name).gid]).toEqual([name, 1000, 2000]);
    }
    expect(stat(dir, "file").mode & 0o7777).toBe(0o666);
    expect(stat(dir, "sub").mode & 0o7777).toBe(0o1777);
    expect([stat(dir, "device").rdevMajor, stat(dir, "device").rdevMinor]).toEqual([10, 229]);
    expect(native.mkdirAs(dir, "group", 0o700, 0, 7)).toBe(0);
    expect([stat(dir, "group").uid, stat(dir, "group").gid]).toEqual([0, 7]);
    expect([capabilities(), ...ids()]).toEqual(before);
    fd(native.openAs(dir, "mine", O_CREAT | O_RDWR, 0o666, 0, 0));
    expect([stat(dir, "mine").uid, stat(dir, "mine").gid]).toEqual([0, 0]);
    expect(native.umask(mask)).toBe(0);
  });

  it("makes no files of orders that lie outside of what they are given", () => {
    const table = new Uint8Array(64);
    const words = new Int32Array(table.buffer);
    const [CREATE, WRITE, CLOSE] = [1, 2, 64];
    const order = (steps: number, name: number, start: number, length: number): number => {
      words.set([0, 0, 0, 0, 0, dir, steps, name, start, length, 0o600, 0, 0]);
      return native.makeFiles(table, 1, bytes("name\0open"), bytes("short"));
    };
    for (const [steps, name, start, length] of [
      [CREATE | CLOSE, 5, 0, 0],
      [CREATE | CLOSE, 9, 0, 0],
      [CREATE | WRITE | CLOSE, 0, 3, 3],
      [CREATE | WRITE | CLOSE, 0, 6, 0],
      [CREATE, 0, 0, 0],
    ] as const) {
      expect(order(steps, name, start, length)).toBe(1);
      expect(words[14]).toBe(-EINVAL);
    }
    expect(native.makeFiles(table, 2, table, table)).toBe(-EINVAL);
    expect(fs.readdirSync(path)).toEqual([]);
    expect(order(CREATE | WRITE | CLOSE, 0, 3, 2)).toBe(0);
    expect(fs.readFileSync(join(path, "name"), "utf8")).toBe("rt");
  });

  it("makes a file like another one, all hole, with a name or without", () => {
    const like = new Stat();
    like.mode = S_IFREG | 0o6751;
    like.uid = 1000;
    like.gid = 2000;
    like.size = 12345;
    like.setTimes(-5, 250_000_000, 1_000_000_000, 7);
    const made = new Stat();
    const create = (name: string): number =>
      native.createAlike(dir, name, like.bytes, made.bytes, "", bytes(""), "trusted.second", bytes("2nd"));
    fd(create("alike"));
    const { inoLow } = made;
    const unnamed = fd(create(""));
    expect(ok(native.link(unnamed, "", dir, "named later"))).toBe(0);
    for (const name of ["alike", "named later"]) {
      const { mode, uid, gid, size, blocks, nlink, atime, atimeNsec, mtime, mtimeNsec } = stat(dir, name);
      expect([mode, uid, gid, size, blocks, nlink]).toEqual([S_IFREG | 0o6751, 1000, 2000, 12345, 0, 1]);
      expect([atime, atimeNsec, mtime, mtimeNsec]).toEqual([-5, 250_000_000, 1_000_000_000, 7]);
    }
    expect(stat(dir, "alike").inoLow).toBe(inoLow);
    const value = new Uint8Array(8);
    expect(native.getxattr(dir, "alike", "trusted.second", value)).toBe(3);
    expect(native.listxattr(dir, "alike", new Uint8Array(0))).toBe("trusted.second".length + 1);
    expect(create("alike")).toBe(-EEXIST);
    like.uid = 0xffffffff;
    like.words[10] = 0xffffffff;
    like.words[11] = 0x7fffffff;
    expect(create("too big")).toBeLessThan(0);
    expect(fs.existsSync(join(path, "too big"))).toBe(false);
    expect(native.createAlike(dir, "short", new Uint8Array(255), made.bytes, "", bytes(""), "", bytes(""))).toBe(
      -EINVAL,
    );
  });

  it("publishes what has a name and what has none, and leaves the times of the directory", () => {
    ok(native.mkdirAs(dir, "into", 0o755, 0, 0));
    const into = fd(native.open(dir, "into", O_PATH | O_DIRECTORY, 0));
    ok(native.utimens(into, "", 1, 2, 3, 4));
    fs.writeFileSync(join(path, "named"), "named");
    const unnamed = fd(native.openAs(dir, ".", O_TMPFILE | O_RDWR, 0o600, 0, 0));
    expect(native.publish(dir, "named", into, "a")).toBe(0);
    expect(native.publish(unnamed, "", into, "b")).toBe(0);
    for (const name of ["a", "b"]) {
      fs.writeFileSync(join(path, "named"), "");
      expect(native.publish(dir, "named", into, name)).toBe(-EEXIST);
      const other = fd(native.openAs(dir, ".", O_TMPFILE | O_RDWR, 0o600, 0, 0));
      expect(native.publish(other, "", into, name)).toBe(-EEXIST);
    }
    const { atime, atimeNsec, mtime, mtimeNsec } = stat(dir, "into");
    expect([atime, atimeNsec, mtime, mtimeNsec]).toEqual([1, 2, 3, 4]);
    expect(fs.readdirSync(join(path, "into")).sort()).toEqual(["a", "b"]);
  });

  it("asks for the flags of chattr(1) by name", () => {
    fs.writeFileSync(join(path, "flags"), "");
    const r = native.xflags(dir, "flags");
    expect(r === -ENOSYS || r === -EOPNOTSUPP || (r >= 0 && (r & 0xf8) === 0)).toBe(true);
    expect([-ENOSYS, -ENOENT]).toContain(native.xflags(dir, "none"));
  });

  it("keeps the errno of a failure, and is root again", () => {
    const before = [capabilities(), ...ids()];
    expect(native.mkdirAs(dir, "sub", 0o700, 1000, 1000)).toBe(0);
    expect(native.mkdirAs(dir, "sub", 0o700, 1000, 1000)).toBe(-EEXIST);
    expect(native.openAs(dir, "none/file", O_CREAT, 0o600, 1000, 1000)).toBe(-ENOENT);
    expect(native.symlinkAs("x", -1, "link", 1000, 1000)).toBe(-EBADF);
    expect(native.mkdirAs(dir, "nobody", 0o700, -1, 1000)).toBe(-1); // EPERM: not an id
    expect([capabilities(), ...ids()]).toEqual(before);
    expect(native.openAs(dir, "sub", O_CREAT | O_EXCL, 0o600, 1000, 1000)).toBe(-EEXIST);
    expect(native.statx(dir, "nobody", STATX_ALL, new Uint8Array(256))).toBe(-ENOENT);
  });

  it("makes whiteouts", () => {
    expect(native.mknodAs(dir, "gone", S_IFCHR, 0, 0, 0, 0)).toBe(0);
    expect(stat(dir, "gone").isWhiteoutDevice).toBe(true);
  });
});

describe("process", () => {
  it("sets flags of V8", () => {
    expect(runInNewContext("typeof gc")).toBe("undefined");
    expect(native.setV8Flags("--expose-gc --no-use-osr")).toBe(0);
    expect(runInNewContext("typeof gc")).toBe("function");
    expect(native.setV8Flags("--no-expose-gc --use-osr")).toBe(0);
  });

  it("flock is exclusive between open file descriptions", () => {
    const first = fd(native.reopen(dir, O_RDONLY | O_DIRECTORY));
    const second = fd(native.reopen(dir, O_RDONLY | O_DIRECTORY));
    expect(native.flock(first, LOCK_EX | LOCK_NB)).toBe(0);
    expect(native.flock(second, LOCK_EX | LOCK_NB)).toBe(-EAGAIN);
    expect(native.close(first)).toBe(0);
    expect(native.flock(second, LOCK_EX | LOCK_NB)).toBe(0);
  });

  it("signals reach the process of a descriptor, and nobody once it is gone", async () => {
    const child = spawn("sleep", ["1000"], { stdio: "ignore" });
    const pidfd = fd(native.pidfdOpen(child.pid as number));
    expect(native.pidfdSendSignal(pidfd, 15)).toBe(0);
    expect(await new Promise((resolve) => child.on("exit", (_, signal) => resolve(signal)))).toBe("SIGTERM");
    expect(native.pidfdSendSignal(pidfd, 15)).toBe(-ESRCH);
  });

  it("mount and umount say what is wrong", async () => {
    expect(native.mount("none", path, "no such type", 0, "")).toBe(-ENODEV);
    expect(native.mount("none", join(path, "none"), "tmpfs", 0, "")).toBe(-ENOENT);
    expect(native.umount(path, 0)).toBe(-EINVAL);
    const aside = new Promise((ended) => {
      expect(native.umountAside(path, 0, ended)).toBe(0);
    });
    expect(await aside).toBe(-EINVAL);
    expect(native.mount("none", path, "x".repeat(5000), 0, "")).toBe(-ENAMETOOLONG);
  });

  it("raises the limit of open files to the hard one", () => {
    const limit = native.raiseFileLimit();
    expect(fs.readFileSync("/proc/self/limits", "utf8")).toMatch(new RegExp(`Max open files +${limit} +${limit} `));
  });

  it("lets a process end whose threads and poll were never stopped, and reports what callbacks throw", () => {
    const addon = new URL("../../build/cowfs.node", import.meta.url).pathname;
    const script = `
      const addon = { exports: {} };
      process.dlopen(addon, ${JSON.stringify(addon)});
      const native = addon.exports;
      const fs = require("node:fs");
      const thrown = [];
      process.on("uncaughtException", (error) => thrown.push(error.message));
      process.on("exit", () => console.log(thrown.sort().join()));
      native.jobsStart(2, (id) => { throw new Error("job " + id); }, 64);
      const input = fs.openSync("/etc/passwd");
      for (const id of [1, 2]) native.jobCopy(id, input, fs.openSync(${JSON.stringify(path)} + "/" + id, "w"), 1e9, 0);
      native.mknodAs(-100, ${JSON.stringify(path)} + "/fifo", 0o010600, 0, 0, 0, 0);
      const fifo = native.open(-100, ${JSON.stringify(path)} + "/fifo", 2 | 0o4000, 0);
      native.reply(fifo, Buffer.from("x"), 1);
      native.pollStart(fifo, () => { native.pollStop(); throw new Error("poll"); });
    `;
    const child = spawnSync(process.execPath, ["-e", script], { encoding: "utf8", timeout: 15_000 });
    expect([child.stdout, child.stderr, child.status]).toEqual(["job 1,job 2,poll\n", "", 0]);
  });
});
