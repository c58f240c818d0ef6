/** The FUSE channel and the jobs, on pipes and files that stand for /dev/fuse. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EAGAIN, EBADF, EBUSY, EINVAL, EPERM, ignore } from "../errno.js";
import { S_IFIFO } from "../layer/stat.js";
import { AT_FDCWD, O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR } from "./constants.js";
import { type JobDone, native } from "./index.js";

const O_APPEND = 0o2000;
const ESHUTDOWN = 108;

let path: string;
let opened: number[];

function open(name: string, flags: number): number {
  const result = native.open(AT_FDCWD, join(path, name), flags, 0o600);
  expect(result).toBeGreaterThanOrEqual(0);
  opened.push(result);
  return result;
}
function pipe(): number {
  expect(native.mknodAs(AT_FDCWD, join(path, "pipe"), S_IFIFO | 0o600, 0, 0, 0, 0)).toBe(0);
  return open("pipe", O_RDWR | O_NONBLOCK);
}
function say(fd: number, text: string): void {
  expect(native.reply(fd, Buffer.from(text), text.length)).toBe(text.length);
}
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

beforeEach(() => {
  path = fs.mkdtempSync(join(tmpdir(), "cowfs-channel-"));
  opened = [];
});
afterEach(() => {
  expect(native.pollStop()).toBe(0);
  expect(native.jobsStop()).toBe(0);
  ignore(native.replyError(), "what a test left behind");
  for (const each of opened) ignore(native.close(each), "a test may have closed it");
  fs.rmSync(path, { recursive: true, force: true });
});

describe("channel", () => {
  it("receives what is there, and says EAGAIN when nothing comes while it spins", () => {
    const fd = pipe();
    const into = Buffer.alloc(64);
    expect(native.receive(fd, into, 0)).toBe(-EAGAIN);
    const start = process.hrtime();
    expect(native.receive(fd, into, 20_000)).toBe(-EAGAIN);
    const [seconds, nanoseconds] = process.hrtime(start);
    expect(seconds * 1e6 + nanoseconds / 1e3).toBeGreaterThanOrEqual(20_000);
    say(fd, "request");
    expect(native.receive(fd, into, 0)).toBe(7);
    expect(into.toString("latin1", 0, 7)).toBe("request");
    expect(native.receive(-1, into, 100)).toBe(-EBADF);
  });

  it("replies and receives in one call; lengths are checked", () => {
    const fd = pipe();
    const into = Buffer.alloc(64);
    expect(native.replyAndReceive(fd, Buffer.from("answer, cut"), 6, into, 0)).toBe(6);
    expect(into.toString("latin1", 0, 6)).toBe("answer");
    expect(native.reply(fd, into, 65)).toBe(-EINVAL);
    expect(native.reply(fd, into, -1)).toBe(-EINVAL);
    expect(native.replyAndReceive(fd, into, 65, into, 0)).toBe(-EINVAL);
    expect(native.replyError()).toBe(0);
  });

  it("keeps the first failed write until it is asked for", () => {
    const into = Buffer.alloc(64);
    const device = native.openFollow("/dev/fuse", O_RDWR | O_NONBLOCK);
    if (device >= 0) {
      opened.push(device); // not mounted: the kernel refuses to talk
      expect(native.replyAndReceive(device, into, 16, into, 0)).toBe(-EPERM);
      expect(native.replyAndReceive(-1, into, 16, into, 0)).toBe(-EBADF);
      expect(native.replyError()).toBe(-EPERM);
    }
    expect(native.replyAndReceive(-1, into, 16, into, 0)).toBe(-EBADF);
    expect(native.replyError()).toBe(-EBADF);
    expect(native.replyError()).toBe(0);
  });

  it("watches one descriptor, again and again, and stops", async () => {
    const fd = pipe();
    const into = Buffer.alloc(64);
    const heard: string[] = [];
    const listen = (): void => {
      const count = native.receive(fd, into, 0);
      heard.push(into.toString("latin1", 0, Math.max(count, 0)));
    };
    expect(native.pollStart(fd, listen)).toBe(0);
    expect(native.pollStart(fd, listen)).toBe(-EBUSY);
    say(fd, "one");
    await until(() => heard.length === 1);
    say(fd, "two");
    await until(() => heard.length === 2);
    expect(native.pollStop()).toBe(0);
    expect(native.pollStop()).toBe(0);
    say(fd, "three");
    await sleep(20);
    expect(heard).toEqual(["one", "two"]);
    expect(native.pollStart(fd, listen)).toBe(0);
    await until(() => heard.length === 3);
    expect(native.pollStop()).toBe(0);
  });

  it("refuses to watch what cannot be watched", () => {
    expect(native.pollStart(-1, () => {})).toBe(-EBADF);
    expect(native.pollStart(open("file", O_RDWR | O_CREAT), () => {})).toBe(-EPERM);
    expect(native.pollStart(pipe(), () => {})).toBe(0);
  });
});

describe("jobs", () => {
  const ended: [number, number][] = [];
  const remember: JobDone = (id, result) => ended.push([id, result]);
  beforeEach(() => {
    ended.length = 0;
  });

  function source(length: number): number {
    fs.writeFileSync(join(path, "source"), Buffer.alloc(length, "0123456789"));
    return open("source", O_RDWR);
  }

  it("copy and call back on the event loop, though the caller closed its descriptors", async () => {
    expect(native.jobsStart(2, remember, 64)).toBe(0);
    expect(native.jobsStart(2, remember, 64)).toBe(-EBUSY);
    const input = source(3_000_000);
    for (let id = 0; id < 8; id++) {
      const output = native.open(AT_FDCWD, join(path, `copy-${id}`), O_RDWR | O_CREAT, 0o600);
      expect(native.jobCopy(id, input, output, 2_000_000 + id, id % 2)).toBe(0);
      expect(native.close(output)).toBe(0);
    }
    expect(native.close(input)).toBe(0);
    await until(() => ended.length === 8);
    expect(ended.sort((a, b) => a[0] - b[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((id) => [id, 0]));
    for (let id = 0; id < 8; id++) expect(fs.statSync(join(path, `copy-${id}`)).size).toBe(2_000_000 + id);
    expect(native.jobsCounter()[0]).toBe(0);
  });

  it("are delivered by jobsPoll without the event loop, which ends the spinning of receive", () => {
    expect(native.jobsStart(1, remember, 64)).toBe(0);
    const fd = pipe();
    const into = Buffer.alloc(64);
    expect(native.jobCopy(2 ** 40, source(10), open("copy", O_RDWR | O_CREAT), 10, 0)).toBe(0);
    const start = Date.now();
    expect(native.receive(fd, into, 5_000_000)).toBe(-EAGAIN);
    expect(Date.now() - start).toBeLessThan(4_000);
    expect(native.jobsCounter()[0]).toBe(1);
    expect(native.jobsPoll()).toBe(1);
    expect(native.jobsPoll()).toBe(0);
    expect(ended).toEqual([[2 ** 40, 0]]);
  });

  it("report errors, and refuse bad descriptors at once", async () => {
    const input = source(10);
    expect(native.jobCopy(1, input, input, 10, 0)).toBe(-ESHUTDOWN);
    expect(native.jobsStart(0, remember, 64)).toBe(-EINVAL);
    expect(native.jobsStart(1, remember, 64)).toBe(0);
    expect(native.jobCopy(1, input, -1, 10, 0)).toBe(-EBADF);
    expect(native.jobCopy(1, -1, input, 10, 0)).toBe(-EBADF);
    expect(native.jobRead(-1, 1, 0, input, 0, 10)).toBe(-EBADF);
    expect(native.jobRead(input, 1, 0, input, 0, -1)).toBe(-EINVAL);
    expect(native.jobSync(input, 1, 0, input, 3)).toBe(-EINVAL);
    expect(native.jobCopy(5, input, open("source", O_RDONLY), 10, 0)).toBe(0);
    await until(() => ended.length > 0);
    expect(ended).toEqual([[5, -EBADF]]);
  });

  it("are waited for by jobsWait, without the event loop", () => {
    expect(native.jobsWait()).toBe(0);
    expect(native.jobsStart(2, remember, 64)).toBe(0);
    expect(native.jobsWait()).toBe(0);
    const input = source(1_000_000);
    for (let id = 0; id < 5; id++) expect(native.jobCopy(id, input, open(`${id}`, O_RDWR | O_CREAT), 1e6, 0)).toBe(0);
    expect(native.jobsWait()).toBe(5);
    expect(ended.length).toBe(5);
    expect(native.jobsWait()).toBe(0);
  });

  it("that throw from jobsPoll leave the others due", async () => {
    const complain: JobDone = (id, result) => {
      remember(id, result);
      if (id === 1) throw new Error("from the callback");
    };
    expect(native.jobsStart(1, complain, 64)).toBe(0);
    const input = source(10);
    for (const id of [1, 2, 3]) expect(native.jobCopy(id, input, open(`${id}`, O_RDWR | O_CREAT), 10, 0)).toBe(0);
    while ((native.jobsCounter()[0] as number) < 3)
      ignore(native.receive(-1, Buffer.alloc(1), 0), "only to pass the time");
    expect(() => native.jobsPoll()).toThrow("from the callback");
    expect(native.jobsCounter()[0]).toBe(2);
    await until(() => ended.length === 3);
  });

  it("are all finished and delivered by jobsStop, even from inside a callback", () => {
    expect(native.jobsStart(2, remember, 64)).toBe(0);
    const input = source(1_000_000);
    for (let id = 0; id < 20; id++) {
      expect(native.jobCopy(id, input, open(`${id}`, O_RDWR | O_CREAT), 1e6, 0)).toBe(0);
    }
    expect(native.jobsStop()).toBe(0);
    expect(ended.length).toBe(20);
    const stops: number[] = [];
    expect(native.jobsStart(1, () => stops.push(native.jobsStop()), 64)).toBe(0);
    expect(native.jobCopy(0, input, open("last", O_RDWR | O_CREAT), 1e6, 0)).toBe(0);
    expect(native.jobsStop()).toBe(0);
    expect(stops).toEqual([0]);
    expect(native.jobsStart(1, remember, 64)).toBe(0);
  });

  /** The answers a job appended to `channel`, each {len, error, unique low, unique high, payload}. */
  function answers(): { error: number; unique: number[]; payload: string }[] {
    const all = fs.readFileSync(join(path, "answers"));
    const list = [];
    for (let at = 0; at < all.length; at += all.readUInt32LE(at)) {
      list.push({
        error: all.readInt32LE(at + 4),
        unique: [all.readUInt32LE(at + 8), all.readUInt32LE(at + 12)],
        payload: all.toString("latin1", at + 16, at + all.readUInt32LE(at)),
      });
    }
    return list;
  }

  it("answer the kernel by themselves", () => {
    const channel = open("answers", O_RDWR | O_CREAT | O_APPEND);
    const input = source(1000);
    expect(native.jobsStart(1, remember, 64)).toBe(0);
    expect(native.jobRead(channel, 0xfffffffe, 0x80000001, input, 3, 5)).toBe(0);
    expect(native.jobRead(channel, 2, 0, input, 995, 1 << 20)).toBe(0);
    expect(native.jobRead(channel, 3, 0, input, 2000, 10)).toBe(0);
    expect(native.jobRead(channel, 4, 0, input, -1, 10)).toBe(0);
    for (const kind of [0, 1, 2]) expect(native.jobSync(channel, 5, kind, input, kind)).toBe(0);
    expect(native.jobsStop()).toBe(0);
    expect(answers()).toEqual([
      { error: 0, unique: [0xfffffffe, 0x80000001], payload: "34567" },
      { error: 0, unique: [2, 0], payload: "56789" },
      { error: 0, unique: [3, 0], payload: "" },
      { error: -EINVAL, unique: [4, 0], payload: "" },
      { error: 0, unique: [5, 0], payload: "" },
      { error: 0, unique: [5, 1], payload: "" },
      { error: 0, unique: [5, 2], payload: "" },
    ]);
    expect(ended).toEqual([]);
  });

  it("that take room call back with their result", () => {
    const input = source(1000);
    const output = open("output", O_RDWR | O_CREAT);
    const readOnly = open("source", O_RDONLY);
    expect(native.jobsStart(1, remember, 64)).toBe(0);
    expect(native.jobFallocate(6, output, 0, 0, 5000)).toBe(0);
    expect(native.jobFallocate(7, readOnly, 0, 0, 5000)).toBe(0);
    expect(native.jobCopyRange(8, input, 10, output, 5000, 100)).toBe(0);
    expect(native.jobCopyRange(9, input, 10, readOnly, 5000, 100)).toBe(0);
    expect(native.jobsStop()).toBe(0);
    expect(ended).toEqual([
      [6, 0],
      [7, -EBADF],
      [8, 100],
      [9, -EBADF],
    ]);
    expect(fs.readFileSync(join(path, "output"), "latin1").slice(5000)).toBe("0123456789".repeat(10));
  });

  it("tell through replyError that an answer was refused, and close what they duplicated", () => {
    const before = fs.readdirSync("/proc/self/fd").length;
    const input = source(10);
    const readOnly = open("source", O_RDONLY);
    expect(native.jobsStart(4, remember, 64)).toBe(0);
    for (let i = 0; i < 100; i++) expect(native.jobRead(readOnly, i, 0, input, 0, 10)).toBe(0);
    expect(native.jobsStop()).toBe(0);
    expect(native.replyError()).toBe(-EBADF);
    expect(fs.readdirSync("/proc/self/fd").length).toBe(before + 2);
  });
});
