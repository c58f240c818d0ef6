/** Copies that are not synced when they are published: what kills and crashes leave of them, and when their marks go. */
import { chmodSync, existsSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { EIO, ENOSPC } from "../errno.js";
import { AT_FDCWD } from "../native/constants.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { fsyncFd, syncfsFd } from "./ops/data.js";
import { forget } from "./ops/forget.js";
import { getattr } from "./ops/getattr.js";
import { rename } from "./ops/rename.js";
import { noChange, setattr } from "./ops/setattr.js";
import { unlink } from "./ops/unlink.js";
import { setxattr as setUserAttribute } from "./ops/xattr.js";
import { PARK } from "./park.js";
import { settleSome } from "./settle.js";
import { type Bench, cat, type LayerTree, loseData, make, put } from "./testing.js";

// In memory: on the disk it depends on the file system whether small copies are synced.
if (existsSync("/dev/shm")) vi.stubEnv("TMPDIR", "/dev/shm");

const lowers: LayerTree[] = [{ "d/f": "lower data", "d/g": "other", h1: "linked", h2: "= h1", "m/f": "data below" }];
const lazy = { lazy: true };
const FATTR_SIZE = 8;

/** Whether a file of the upper says that its data is not its own. */
function isMarked(b: Bench, path: string): boolean {
  return ["metacopy", "cowfs.pending"].some(
    (name) => native.getxattr(AT_FDCWD, join(b.upper, path), `trusted.overlay.${name}`, new Uint8Array(0)) >= 0,
  );
}

function size(b: Bench, path: string): number {
  return getattr(b.u, b.node(path)) === 0 ? b.u.stat.size : -1;
}

const logged = (b: Bench): boolean => existsSync(join(b.work, "work/incompat/unsynced"));

test("a copy is a metacopy until it is synced", () => {
  const b = make(lowers, undefined, lazy);
  expect(put(b, b.node("d/f"), "LOWER")).toBe(5);
  expect(cat(b, "d/f")).toBe("LOWER data");
  expect([isMarked(b, "d/f"), logged(b), b.u.unsynced.count]).toEqual([true, true, 1]);
  expect(fsyncFd(b.u, b.node("d/f"))).toBeGreaterThan(0);
  expect([isMarked(b, "d/f"), logged(b), b.u.unsynced.count]).toEqual([false, false, 0]);
  b.crash();
  expect(cat(b, "d/f")).toBe("LOWER data");
});

test("a crash brings the lower data back, with its size and time, and keeps the mode", () => {
  const b = make(lowers, undefined, lazy);
  const time = statSync(join(b.lowers[0] as string, "d/f")).mtimeMs;
  put(b, b.node("d/f"), "longer than the lower data is");
  expect(setattr(b.u, b.node("d/f"), { ...noChange(), valid: 1, mode: 0o600 })).toBe(0);
  b.crash();
  expect([cat(b, "d/f"), size(b, "d/f"), b.u.stat.mode & 0o777]).toEqual(["lower data", 10, 0o600]);
  expect(Math.floor(b.u.stat.mtime)).toBe(Math.floor(time / 1000));
  expect(put(b, b.node("d/f"), "again")).toBe(5);
  expect(cat(b, "d/f")).toBe("again data");
  b.kill();
  expect(cat(b, "d/f")).toBe("again data");
});

test("after a crash a copy whose data is on the disk is whole", () => {
  const b = make(lowers, undefined, lazy);
  put(b, b.node("d/f"), "LOWER");
  const boot = join(b.upper, "d/f");
  b.u.unsynced.abandon();
  b.change(() => {
    const value = Buffer.alloc(512);
    const length = native.getxattr(AT_FDCWD, boot, "trusted.overlay.cowfs.pending", value);
    const other = value.latin1Slice(0, length).replace("b00", "b99");
    native.setxattr(AT_FDCWD, boot, "trusted.overlay.cowfs.pending", Buffer.from(other, "latin1"), 0);
  });
  expect(cat(b, "d/f")).toBe("LOWER data");
  b.reopen();
  expect([isMarked(b, "d/f"), cat(b, "d/f")]).toEqual([false, "LOWER data"]);
});

test("a kill of the driver loses nothing, whatever was done to the copy", () => {
  const b = make(lowers, undefined, lazy);
  put(b, b.node("d/f"), "LOWER");
  put(b, b.node("h1"), "LINKED");
  setattr(b.u, b.node("d/g"), { ...noChange(), valid: FATTR_SIZE, size: 3 });
  put(b, b.node("d/g"), "X", 5);
  b.kill();
  expect(["d/f", "h1", "h2", "d/g"].map((path) => cat(b, path))).toEqual([
    "LOWER data",
    "LINKED",
    "LINKED",
    "oth\0\0X",
  ]);
  b.reopen();
  expect(["d/f", "h1", "h2", "d/g"].map((path) => isMarked(b, path))).toEqual([false, false, false, false]);
});

test("a metacopy that was written to is one until it is synced", () => {
  const b = make(lowers, { "m/f": "metacopy 10" }, lazy);
  b.change(() => {
    chmodSync(join(b.upper, "m/f"), 0o4711);
    utimesSync(join(b.upper, "m/f"), 1000, 1000);
  });
  put(b, b.node("m/f"), "DATA");
  expect([cat(b, "m/f"), isMarked(b, "m/f")]).toEqual(["DATA below", true]);
  b.kill();
  expect(cat(b, "m/f")).toBe("DATA below");
  b.crash();
  expect([cat(b, "m/f"), size(b, "m/f"), b.u.stat.mtime]).toEqual(["data below", 10, 1000]);
});

test("the copy is known after the kernel has forgotten it; the end of the union settles it", () => {
  const b = make(lowers, undefined, lazy);
  const node = b.node("d/f");
  put(b, node, "LOWER");
  forget(b.u, node, 1);
  const again = b.node("d/f");
  expect([cat(b, "d/f"), b.u.unsynced.of(again) !== undefined]).toEqual(["LOWER data", true]);
  forget(b.u, again, 100);
  b.reopen();
  expect([cat(b, "d/f"), isMarked(b, "d/f")]).toEqual(["LOWER data", false]);
});

test("another name, or a name less, settles the copy first, or forgets it", () => {
  const b = make(lowers, undefined, lazy);
  put(b, b.node("d/f"), "LOWER");
  expect(rename(b.u, b.node("d"), "f", ROOT, "moved", 0)).toBe(0);
  expect([isMarked(b, "moved"), cat(b, "moved")]).toEqual([false, "LOWER data"]);
  put(b, b.node("d/g"), "OTHER");
  expect(b.u.unsynced.count).toBe(1);
  expect(unlink(b.u, b.node("d"), "g")).toBe(0);
  expect([b.u.unsynced.count, logged(b)]).toEqual([0, false]);
});

test("the change time that users see stays when the marks go", () => {
  const b = make(lowers, undefined, lazy);
  put(b, b.node("d/f"), "LOWER");
  const ctime = (): number[] => (getattr(b.u, b.node("d/f")) === 0 ? [...b.u.stat.ctimeWords] : []);
  const before = ctime();
  expect(syncfsFd(b.u)).toBeGreaterThan(0);
  expect([isMarked(b, "d/f"), ctime()]).toEqual([false, before]);
  setattr(b.u, b.node("d/f"), { ...noChange(), valid: 1, mode: 0o600 });
  expect(ctime()).not.toEqual(before);
});

test("in the background the marks go when a job has synced the data; its error is told to the next fsync", () => {
  const b = make(lowers, undefined, lazy);
  const jobs: number[] = [];
  vi.spyOn(native, "jobFlush").mockImplementation((id) => jobs.push(id) * 0);
  const node = b.node("d/f");
  put(b, node, "LOWER");
  expect(settleSome(b.u)).toBe(false);
  expect(jobs).toEqual([]);
  b.u.unsynced.allDue();
  settleSome(b.u);
  expect(b.u.jobDone(jobs[0] as number, -EIO)).toBe(-EIO);
  expect(b.messages.some((message) => message.includes("could not be synced"))).toBe(true);
  settleSome(b.u);
  expect([jobs.length, isMarked(b, "d/f")]).toEqual([1, true]);
  expect(fsyncFd(b.u, node)).toBe(-EIO);
  settleSome(b.u);
  b.u.jobDone(jobs[1] as number, 0);
  settleSome(b.u);
  expect([jobs.length, isMarked(b, "d/f")]).toEqual([2, false]);
});

test("where the marks find no room the copy is synced", () => {
  const b = make(lowers, undefined, lazy);
  const { setxattr } = native;
  vi.spyOn(native, "setxattr").mockImplementation((fd, name, attribute, ...rest) =>
    attribute.endsWith("cowfs.pending") ? -ENOSPC : setxattr(fd, name, attribute, ...rest),
  );
  const fsync = vi.spyOn(native, "fsync");
  expect(put(b, b.node("d/f"), "LOWER")).toBe(5);
  expect([isMarked(b, "d/f"), b.u.unsynced.count, fsync.mock.calls.length]).toEqual([false, 0, 1]);
});

test("what has holes is synced, and so is everything where metacopies are not wanted", () => {
  const fsync = vi.spyOn(native, "fsync");
  const b = make(lowers, undefined, lazy);
  b.change(() => {
    const fd = native.open(AT_FDCWD, join(b.lowers[0] as string, "d/g"), 2, 0);
    native.truncate(fd, 1 << 20);
    native.close(fd);
  });
  put(b, b.node("d/g"), "OTHER");
  expect([isMarked(b, "d/g"), fsync.mock.calls.length]).toEqual([false, 1]);
  const off = make(lowers, undefined, { ...lazy, metacopy: false });
  put(off, off.node("d/f"), "LOWER");
  expect([isMarked(off, "d/f"), fsync.mock.calls.length]).toEqual([false, 2]);
});

test("the log stays while a copy is being made, though all others are settled", () => {
  const b = make(lowers, undefined, { ...lazy, inlineCopyLimit: 5 });
  const copies: (readonly number[])[] = [];
  vi.spyOn(native, "jobCopy").mockImplementation((...job) => copies.push(job) * 0);
  expect(put(b, b.node("d/f"), "LOWER")).toBe(PARK);
  put(b, b.node("d/g"), "OTHER");
  expect(fsyncFd(b.u, b.node("d/g"))).toBeGreaterThan(0);
  const [job = 0, input = 0, output = 0, length = 0] = copies[0] as readonly number[];
  // The descriptors belong to the driver, which closed the one of the lower file.
  expect([job > 0, input > 0, length]).toEqual([true, true, 10]);
  expect(native.pwrite(output, Buffer.from("lower data"), 0, 10, 0)).toBe(10);
  expect(b.u.jobDone(job, 0)).toBe(0);
  expect([isMarked(b, "d/f"), logged(b)]).toEqual([true, true]);
});

test("after a crash the next mount settles all copies, also those that nobody looks at", () => {
  const b = make(lowers, { "m/f": "metacopy 10" }, lazy);
  put(b, b.node("d/f"), "LOWER");
  put(b, b.node("h1"), "LINKED, and longer");
  put(b, b.node("m/f"), "DATA");
  b.crash();
  const pending = (path: string): boolean =>
    native.getxattr(AT_FDCWD, join(b.upper, path), "trusted.overlay.cowfs.pending", new Uint8Array(0)) >= 0;
  expect(["d/f", "h1", "m/f"].map(pending)).toEqual([false, false, false]);
  expect([statSync(join(b.upper, "h1")).size, logged(b)]).toEqual([6, false]);
});

test("when the end of the mount cannot sync a copy, the log stays; the next mount does not believe what the disk lacks", () => {
  const b = make(lowers, undefined, lazy);
  put(b, b.node("d/f"), "LOWER");
  vi.spyOn(native, "syncfs").mockReturnValue(-EIO);
  vi.spyOn(native, "fsync").mockReturnValueOnce(-EIO);
  b.reopen();
  expect([isMarked(b, "d/f"), logged(b)]).toEqual([true, true]);
  vi.restoreAllMocks();
  loseData(join(b.upper, "d/f"));
  b.reopen();
  expect([isMarked(b, "d/f"), logged(b)]).toEqual([true, true]);
});

test("after an error of a sync of many each is synced by itself, and one that only says it is synced keeps its marks", () => {
  const names = Array.from({ length: 10 }, (_, index) => `n${index}`);
  const b = make([Object.fromEntries(names.map((name) => [name, "data"]))], undefined, lazy);
  const kinds: number[] = [];
  let job = 0;
  vi.spyOn(native, "jobFlush").mockImplementation((id, _fd, kind) => {
    job = id;
    kinds.push(kind);
    return 0;
  });
  for (const name of names) put(b, b.node(name), "DATA");
  b.u.unsynced.allDue();
  settleSome(b.u);
  b.u.jobDone(job, -EIO);
  loseData(join(b.upper, "n3"));
  for (let i = 0; i < names.length; i++) {
    settleSome(b.u);
    b.u.jobDone(job, 0);
  }
  settleSome(b.u);
  expect(kinds).toEqual([2, ...names.map(() => 0)]);
  expect(names.filter((name) => isMarked(b, name))).toEqual(["n3"]);
  expect(fsyncFd(b.u, b.node("n3"))).toBe(-EIO);
});

test("where marks leave no room for attributes the copy is synced, and has them", () => {
  const b = make(lowers, undefined, lazy);
  const { setxattr } = native;
  const isPending = (fd: number, name: string): boolean =>
    native.getxattr(fd, name, "trusted.overlay.cowfs.pending", new Uint8Array(0)) >= 0;
  b.change(() => {
    setxattr(AT_FDCWD, join(b.lowers[0] as string, "d/f"), "trusted.big", Buffer.from("x"), 0);
  });
  vi.spyOn(native, "setxattr").mockImplementation((fd, name, attribute, ...rest) =>
    attribute === "trusted.big" && isPending(fd, name) ? -ENOSPC : setxattr(fd, name, attribute, ...rest),
  );
  expect([put(b, b.node("d/f"), "LOWER"), isMarked(b, "d/f")]).toEqual([5, false]);
  expect(native.getxattr(AT_FDCWD, join(b.upper, "d/f"), "trusted.big", new Uint8Array(0))).toBe(1);
  put(b, b.node("d/g"), "OTHER");
  expect(setUserAttribute(b.u, b.node("d/g"), "trusted.big", Buffer.from("y"), 0, false)).toBe(0);
  expect(isMarked(b, "d/g")).toBe(false);
});
