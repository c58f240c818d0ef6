/** Reading, writing and copying data through the addon. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EAGAIN, EBADF, EINVAL, ENXIO, ignore } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_FDCWD, O_CREAT, O_RDONLY, O_RDWR, O_WRONLY } from "./constants.js";
import { native } from "./index.js";

const MIB = 1 << 20;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

let directories: string[];
let opened: number[];

function directory(parent: string): string {
  const path = fs.mkdtempSync(join(parent, "cowfs-data-"));
  directories.push(path);
  return path;
}
function open(path: string, flags: number): number {
  const result = native.open(AT_FDCWD, path, flags, 0o600);
  expect(result).toBeGreaterThanOrEqual(0);
  opened.push(result);
  return result;
}
function blocks(fd: number): number {
  const out = new Stat();
  expect(native.statx(fd, "", STATX_ALL, out.bytes)).toBe(0);
  return out.words[12] as number;
}
function random(length: number): Buffer {
  const data = Buffer.alloc(length);
  let state = length + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    data[i] = state >>> 16;
  }
  return data;
}

beforeEach(() => {
  directories = [];
  opened = [];
});
afterEach(() => {
  for (const each of opened) ignore(native.close(each), "a test may have closed it");
  for (const each of directories) fs.rmSync(each, { recursive: true, force: true });
});

describe("reading and writing", () => {
  it("uses the part of the buffer that was asked for, and refuses what lies outside", () => {
    const fd = open(join(directory(tmpdir()), "file"), O_CREAT | O_RDWR);
    const data = Buffer.from("0123456789");
    expect(native.pwrite(fd, data, 2, 5, 2 ** 33)).toBe(5);
    expect(native.lseek(fd, 0, 2)).toBe(2 ** 33 + 5);
    const out = Buffer.alloc(12, ".");
    expect(native.pread(fd, out.subarray(1, 11), 3, 7, 2 ** 33)).toBe(5);
    expect(out.toString()).toBe("....23456...");
    for (const [start, length] of [
      [-1, 2],
      [0, -1],
      [0, 11],
      [11, 0],
      [10, 1],
      [2 ** 52, 1],
      [1, 2 ** 52],
    ] as const) {
      expect(native.pread(fd, data, start, length, 0)).toBe(-EINVAL);
      expect(native.preadNowait(fd, data, start, length, 0)).toBe(-EINVAL);
      expect(native.pwrite(fd, data, start, length, 0)).toBe(-EINVAL);
    }
    expect(native.pread(fd, data, 10, 0, 0)).toBe(0);
    expect(native.pwrite(fd, data, 0, 0, 0)).toBe(0);
    expect(native.pread(fd, data, 0, 1, -1)).toBe(-EINVAL);
    expect(native.preadNowait(fd, data, 0, 1, -1)).toBe(-EINVAL);
  });

  it("preadNowait reads what is cached, and never waits for a pipe", () => {
    const path = directory(tmpdir());
    const fd = open(join(path, "file"), O_CREAT | O_RDWR);
    expect(native.pwrite(fd, Buffer.from("cached"), 0, 6, 0)).toBe(6);
    const out = Buffer.alloc(6);
    const count = native.preadNowait(fd, out, 0, 6, 0);
    if (count !== -EAGAIN) expect([count, out.toString()]).toEqual([6, "cached"]);
    expect(native.preadNowait(fd, out, 0, 6, 6)).toBeLessThanOrEqual(0);
  });

  it("truncate, fallocate, lseek and the kinds of sync", () => {
    const fd = open(join(directory(tmpdir()), "file"), O_CREAT | O_RDWR);
    expect(native.truncate(fd, 5 * MIB)).toBe(0);
    expect(native.lseek(fd, 0, SEEK_DATA)).toBe(-ENXIO);
    expect(native.fallocate(fd, 0, 6 * MIB, MIB)).toBe(0);
    expect(native.lseek(fd, 0, 2)).toBe(7 * MIB);
    expect(native.pwrite(fd, Buffer.alloc(4096, 1), 0, 4096, 4 * MIB)).toBe(4096);
    expect(native.lseek(fd, 0, SEEK_DATA)).toBe(4 * MIB);
    expect(native.fallocate(fd, 3, 4 * MIB, 4096)).toBe(0); // KEEP_SIZE | PUNCH_HOLE
    expect(native.lseek(fd, 4 * MIB, SEEK_HOLE)).toBe(4 * MIB);
    expect([native.fsync(fd), native.fdatasync(fd), native.syncfs(fd)]).toEqual([0, 0, 0]);
    expect([native.fsync(-1), native.fdatasync(-1), native.syncfs(-1)]).toEqual([-EBADF, -EBADF, -EBADF]);
    expect(native.truncate(fd, -1)).toBe(-EINVAL);
  });

  it("copyFileRange copies up to the end of the input", () => {
    const path = directory(tmpdir());
    const data = random(300_000);
    fs.writeFileSync(join(path, "in"), data);
    const input = open(join(path, "in"), O_RDONLY);
    const output = open(join(path, "out"), O_CREAT | O_RDWR);
    expect(native.copyFileRange(input, 1000, output, 7, 2 ** 40)).toBe(299_000);
    expect(native.copyFileRange(input, 300_000, output, 7, 10)).toBe(0);
    expect(Buffer.compare(fs.readFileSync(join(path, "out")).subarray(7), data.subarray(1000))).toBe(0);
    expect(native.copyFileRange(input, 0, output, 0, -1)).toBe(-EINVAL);
    expect(native.copyFileRange(output, 0, input, 0, 10)).toBe(-EBADF);
  });
});

describe("copyData", () => {
  /** 32 MiB, of which data lie at 3 MiB (700,001 bytes, not whole blocks) and 20 MiB, with a hole at the end. */
  function sparse(path: string): void {
    const fd = open(path, O_CREAT | O_RDWR);
    expect(native.pwrite(fd, random(700_001), 0, 700_001, 3 * MIB)).toBe(700_001);
    expect(native.pwrite(fd, random(4096), 0, 4096, 20 * MIB)).toBe(4096);
    expect(native.truncate(fd, 32 * MIB + 5)).toBe(0);
    expect(native.fsync(fd)).toBe(0);
  }

  // Within one file system the kernel copies; between two of them it refuses and the data go through memory.
  for (const [from, to] of [
    [tmpdir(), tmpdir()],
    ["/dev/shm", tmpdir()],
    [tmpdir(), "/dev/shm"],
    ["/dev/shm", "/dev/shm"],
  ] as const) {
    it(`keeps holes and every byte, from ${from} to ${to}`, () => {
      const source = join(directory(from), "source");
      sparse(source);
      const input = open(source, O_RDONLY);
      const target = join(directory(to), "target");
      const output = open(target, O_CREAT | O_RDWR);
      expect(native.copyData(input, output, Number.MAX_SAFE_INTEGER)).toBe(0);
      expect(native.fsync(output)).toBe(0);
      expect(Buffer.compare(fs.readFileSync(target), fs.readFileSync(source))).toBe(0);
      expect(blocks(output) * 512).toBeLessThan(2 * MIB);
      expect(blocks(output) * 512).toBeGreaterThan(700_000);
    });

    it(`copies no more than it was asked for, from ${from} to ${to}`, () => {
      const source = join(directory(from), "source");
      sparse(source);
      const input = open(source, O_RDONLY);
      const path = directory(to);
      for (const size of [0, 1, 3 * MIB, 3 * MIB + 1, 3 * MIB + 500_000, 10 * MIB, 32 * MIB + 4]) {
        const target = join(path, `target-${size}`);
        expect(native.copyData(input, open(target, O_CREAT | O_RDWR), size)).toBe(0);
        expect(Buffer.compare(fs.readFileSync(target), fs.readFileSync(source).subarray(0, size))).toBe(0);
      }
    });
  }

  it("copies dense and empty files, and only what has not been synced yet as well", () => {
    const path = directory(tmpdir());
    for (const length of [0, 1, 4096, 262_144, 3_000_001]) {
      const data = random(length);
      fs.writeFileSync(join(path, "in"), data);
      const target = join(path, `out-${length}`);
      expect(native.copyData(open(join(path, "in"), O_RDONLY), open(target, O_CREAT | O_WRONLY), length)).toBe(0);
      expect(Buffer.compare(fs.readFileSync(target), data)).toBe(0);
    }
  });

  it("says why it failed", () => {
    const path = directory(tmpdir());
    fs.writeFileSync(join(path, "in"), "data");
    const input = open(join(path, "in"), O_RDONLY);
    const output = open(join(path, "out"), O_CREAT | O_RDWR);
    expect(native.copyData(-1, output, 10)).toBe(-EBADF);
    expect(native.copyData(input, -1, 10)).toBe(-EBADF);
    expect(native.copyData(input, open(join(path, "out"), O_RDONLY), 10)).toBe(-EBADF);
    expect(native.copyData(input, output, -1)).toBe(-EINVAL);
    expect(native.copyData(input, open("/dev/full", O_WRONLY), 10)).toBeLessThan(0);
  });
});
