import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EBADF, EEXIST, EINVAL, ENODATA, ENOENT, ENOTDIR, EOPNOTSUPP } from "../errno.js";
import { STATX_ALL } from "../layer/stat.js";
import {
  AT_FDCWD,
  FS_IOC_GETFLAGS,
  O_RDONLY,
  O_RDWR,
  UTIME_NOW,
  UTIME_OMIT,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "./constants.js";
import { native } from "./index.js";
import { bytes, dir, eachInDirectory, fd, none, ok, openPath, path, stat, text } from "./testing.js";

eachInDirectory();

describe("attributes", () => {
  it("statx gives the words Node's own stat gives", () => {
    fs.writeFileSync(join(path, "file"), "12345");
    fs.symlinkSync("file", join(path, "link"));
    for (const name of ["file", "link"]) {
      const theirs = fs.lstatSync(join(path, name));
      for (const ours of [stat(dir, name), stat(openPath(name), "")]) {
        expect([ours.mode, ours.nlink, ours.uid, ours.gid, ours.size]).toEqual([
          theirs.mode,
          theirs.nlink,
          theirs.uid,
          theirs.gid,
          theirs.size,
        ]);
        expect(ours.inoLow + ours.inoHigh * 2 ** 32).toBe(theirs.ino);
        expect(ours.mtime).toBe(Math.floor(theirs.mtimeMs / 1000));
        expect(ours.words[12]).toBe(theirs.blocks);
      }
    }
    expect(native.statx(dir, "none", STATX_ALL, new Uint8Array(256))).toBe(-ENOENT);
    expect(native.statx(dir, "file", STATX_ALL, new Uint8Array(255))).toBe(-EINVAL);
  });

  it("writes into the middle of a buffer only", () => {
    fs.writeFileSync(join(path, "file"), "12345");
    const whole = new Uint8Array(300).fill(0xee);
    expect(native.statx(dir, "file", STATX_ALL, whole.subarray(21, 277))).toBe(0);
    expect([...whole.subarray(0, 21), ...whole.subarray(277)].every((byte) => byte === 0xee)).toBe(true);
    expect(Buffer.compare(whole.subarray(21, 277), stat(dir, "file").bytes)).toBe(0);
  });

  it("statfs is the raw structure", () => {
    const out = Buffer.alloc(120);
    expect(native.statfs(dir, out)).toBe(0);
    const theirs = fs.statfsSync(path);
    expect([out.readUInt32LE(0), out.readUInt32LE(8), out.readUInt32LE(16)]).toEqual([
      theirs.type,
      theirs.bsize,
      theirs.blocks,
    ]);
    expect(native.statfs(dir, new Uint8Array(119))).toBe(-EINVAL);
  });

  it("chmod and chown act on O_PATH descriptors and not through symbolic links", () => {
    fs.writeFileSync(join(path, "file"), "");
    fs.symlinkSync("file", join(path, "link"));
    expect(native.chmod(dir, "file", 0o4751)).toBe(0);
    expect(stat(dir, "file").mode & 0o7777).toBe(0o4751);
    expect(native.chmod(openPath("file"), "", 0o640)).toBe(0);
    expect(stat(dir, "file").mode & 0o7777).toBe(0o640);
    expect(native.chmod(dir, "link", 0o600)).toBe(-EOPNOTSUPP);
    expect(native.chmod(openPath("link"), "", 0o600)).toBe(-EOPNOTSUPP);
    expect(native.chown(dir, "link", 5, 4_000_000_000)).toBe(0);
    expect(native.chown(openPath("link"), "", 7, -1)).toBe(0);
    expect([stat(dir, "link").uid, stat(dir, "link").gid]).toEqual([7, 4_000_000_000]);
    expect([stat(dir, "file").uid, stat(dir, "file").gid]).toEqual([0, 0]);
    expect(native.chown(openPath("file"), "", -1, 9)).toBe(0);
    expect([stat(dir, "file").uid, stat(dir, "file").gid]).toEqual([0, 9]);
  });

  it("utimens keeps nanoseconds, takes negative seconds, UTIME_OMIT and UTIME_NOW, on anything", () => {
    fs.writeFileSync(join(path, "file"), "");
    fs.symlinkSync("file", join(path, "link"));
    expect(native.utimens(dir, "file", -3, 999_999_999, 2 ** 33, 123_456_789)).toBe(0);
    let now = stat(dir, "file");
    expect([now.atime, now.atimeNsec, now.mtime, now.mtimeNsec]).toEqual([-3, 999_999_999, 2 ** 33, 123_456_789]);
    expect(native.utimens(openPath("file"), "", 17, 1, 0, UTIME_OMIT)).toBe(0);
    now = stat(dir, "file");
    expect([now.atime, now.atimeNsec, now.mtime, now.mtimeNsec]).toEqual([17, 1, 2 ** 33, 123_456_789]);
    expect(native.utimens(openPath("link"), "", 5, 6, 7, 8)).toBe(0);
    expect(native.utimens(dir, "link", 0, UTIME_OMIT, 0, UTIME_NOW)).toBe(0);
    expect([stat(dir, "link").atime, stat(dir, "link").atimeNsec]).toEqual([5, 6]);
    expect(Math.abs(stat(dir, "link").mtime - Date.now() / 1000)).toBeLessThan(10);
    expect(stat(dir, "file").mtime).toBe(2 ** 33);
    expect(native.utimens(dir, "file", 0, 1_000_000_000, 0, 0)).toBe(-EINVAL);
  });

  it("ioctl reads inode flags, also into a buffer shorter than the command says", () => {
    fs.writeFileSync(join(path, "file"), "");
    const file = fd(native.open(dir, "file", O_RDONLY, 0));
    const long = new Uint8Array(8);
    const short = new Uint8Array(4);
    expect(native.ioctl(file, FS_IOC_GETFLAGS, long)).toBe(0);
    expect(native.ioctl(file, FS_IOC_GETFLAGS, short)).toBe(0);
    expect(long.subarray(0, 4)).toEqual(short);
  });

  it("file handles are the same by name and by descriptor", () => {
    fs.writeFileSync(join(path, "file"), "");
    const byName = Buffer.alloc(136);
    const own = Buffer.alloc(136);
    const length = ok(native.nameToHandle(dir, "file", byName));
    expect(length).toBe(8 + byName.readUInt32LE(0));
    expect(native.nameToHandle(openPath("file"), "", own)).toBe(length);
    expect(own).toEqual(byName);
    expect(native.nameToHandle(dir, "file", new Uint8Array(8))).toBeLessThan(0);
    expect(native.nameToHandle(dir, "file", new Uint8Array(7))).toBe(-EINVAL);
  });
});

describe("extended attributes", () => {
  it("work by name and by descriptor, O_PATH or not, on files, directories and symbolic links", () => {
    fs.writeFileSync(join(path, "file"), "");
    fs.mkdirSync(join(path, "sub"));
    fs.symlinkSync("file", join(path, "link"));
    const out = new Uint8Array(64);
    for (const name of ["file", "sub", "link"]) {
      const own = openPath(name);
      expect(native.setxattr(dir, name, "trusted.one", bytes(`${name}\0\xff`), 0)).toBe(0);
      expect(native.setxattr(own, "", "trusted.two", none, XATTR_CREATE)).toBe(0);
      expect(native.setxattr(own, "", "trusted.two", none, XATTR_CREATE)).toBe(-EEXIST);
      expect(text(out, native.getxattr(own, "", "trusted.one", out))).toBe(`${name}\0\xff`);
      expect(native.getxattr(dir, name, "trusted.two", out)).toBe(0);
      expect(native.getxattr(dir, name, "trusted.one", none)).toBe(name.length + 2);
      expect(
        text(out, native.listxattr(own, "", out))
          .split("\0")
          .sort(),
      ).toEqual(["", "trusted.one", "trusted.two"]);
      expect(native.listxattr(dir, name, none)).toBe(24);
      expect(native.removexattr(own, "", "trusted.one")).toBe(0);
      expect(native.removexattr(dir, name, "trusted.two")).toBe(0);
      expect(native.getxattr(own, "", "trusted.one", out)).toBe(-ENODATA);
      expect(native.setxattr(dir, name, "trusted.one", none, XATTR_REPLACE)).toBe(-ENODATA);
    }
    expect(native.setxattr(openPath("link"), "", "user.one", none, 0)).toBeLessThan(0);
  });

  it("work on open descriptors, with absolute names, and fail as they should", () => {
    fs.writeFileSync(join(path, "file"), "");
    const file = fd(native.open(dir, "file", O_RDWR, 0));
    const out = new Uint8Array(2);
    expect(native.setxattr(file, "", "user.x", bytes("long value"), 0)).toBe(0);
    expect(native.getxattr(AT_FDCWD, join(path, "file"), "user.x", none)).toBe(10);
    expect(native.getxattr(dir, join(path, "file"), "user.x", none)).toBe(10);
    expect(native.getxattr(file, "", "user.x", out)).toBe(-34); // ERANGE
    expect(native.getxattr(dir, "none", "user.x", out)).toBe(-ENOENT);
    expect(native.getxattr(-1, "", "user.x", out)).toBe(-EBADF);
    expect(native.getxattr(-1, "file", "user.x", out)).toBe(-EBADF);
    expect(native.getxattr(file, "name", "user.x", out)).toBe(-ENOTDIR);
  });
});
