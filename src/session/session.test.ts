import { describe, expect, it } from "vitest";
import { parseMountinfo } from "../native/mountinfo.js";
import * as c from "../protocol/constants.js";
import type { InitIn } from "../protocol/init.js";
import * as op from "../protocol/opcodes.js";
import { Request } from "../protocol/request.js";
import { defaultMountFlags, type MountConfig } from "./config.js";
import { handlers } from "./handlers.js";
import { negotiate } from "./init.js";
import { Spin } from "./loop.js";
import { mountData, mountFlagBits } from "./mount.js";
import { isKilled, Parking } from "./parking.js";
import { Statistics } from "./statistics.js";

const config: MountConfig = {
  lowers: ["/l"],
  upper: "/u",
  work: "/w",
  mountpoint: "/m",
  source: "cowfs",
  readOnly: false,
  mountFlags: defaultMountFlags(true),
  allowOther: true,
  defaultPermissions: true,
  volatile: false,
  userxattr: false,
  whiteout: "auto",
  xino: "auto",
  timeout: 1e9,
  debug: false,
  spinMicroseconds: 100,
  io: "auto",
  transport: "kernel",
};

describe("mount(2)", () => {
  it("gets FUSE's options", () => {
    expect(mountData(config, 7, 0, 0)).toBe("fd=7,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions");
    expect(mountData({ ...config, allowOther: false, defaultPermissions: false }, 7, 1000, 100)).toBe(
      "fd=7,rootmode=40000,user_id=1000,group_id=100",
    );
  });

  it("gets its flags", () => {
    const MS_RDONLY = 1;
    const MS_NOSUID_NODEV = 6;
    const MS_NOATIME = 1024;
    expect(mountFlagBits(config)).toBe(MS_NOATIME);
    expect(mountFlagBits({ ...config, mountFlags: defaultMountFlags(false) })).toBe(MS_NOATIME | MS_NOSUID_NODEV);
    const { upper: _, ...readOnly } = config;
    expect(mountFlagBits(readOnly)).toBe(MS_NOATIME | MS_RDONLY);
    expect(mountFlagBits({ ...config, readOnly: true })).toBe(MS_NOATIME | MS_RDONLY);
  });
});

describe("INIT", () => {
  const offer: InitIn = { major: 7, minor: 45, maxReadahead: 131072, flags: ~0, flags2: ~0 };

  it("takes what it wants, and no locks, write-back cache or automatic invalidation", () => {
    const out = negotiate(offer, true);
    if (typeof out === "string") throw new Error(out);
    const unwanted =
      c.INIT_POSIX_LOCKS |
      c.INIT_FLOCK_LOCKS |
      c.INIT_WRITEBACK_CACHE |
      c.INIT_AUTO_INVAL_DATA |
      c.INIT_READDIRPLUS_AUTO |
      c.INIT_ATOMIC_O_TRUNC;
    expect(out.flags & unwanted).toBe(0);
    const needed = c.INIT_DO_READDIRPLUS | c.INIT_HANDLE_KILLPRIV_V2 | c.INIT_POSIX_ACL | c.INIT_DONT_MASK;
    expect(out.flags & needed).toBe(needed);
    expect(out).toMatchObject({ major: 7, minor: 45, maxWrite: 1 << 20, maxPages: 256, timeGranularity: 1 });
    expect(out.flags2).toBe(c.INIT2_ALLOW_IDMAP);
    expect(negotiate(offer, false)).toMatchObject({ flags2: 0 });
  });

  it("takes nothing that is not offered, and the lower minor", () => {
    const flags = c.INIT_BIG_WRITES | c.INIT_NO_OPEN_SUPPORT | c.INIT_NO_OPENDIR_SUPPORT | c.INIT_MAX_PAGES;
    expect(negotiate({ ...offer, minor: 31, flags }, true)).toMatchObject({ minor: 31, flags });
    expect(negotiate({ ...offer, minor: 99 }, true)).toMatchObject({ minor: 45 });
  });

  it("leaves ACLs alone where the kernel shall not check permissions", () => {
    const out = negotiate(offer, false);
    expect(typeof out === "string" ? out : out.flags & c.INIT_POSIX_ACL).toBe(0);
  });

  it("refuses kernels that are too old, and answers those that are too new with its own version", () => {
    expect(negotiate({ ...offer, minor: 30 }, true)).toMatch(/7\.30, and 7\.31/);
    expect(negotiate({ ...offer, flags: 0 }, true)).toMatch(/lacks FUSE features/);
    expect(negotiate({ ...offer, major: 8, minor: 0, flags: 0 }, true)).toMatchObject({ major: 7 });
  });
});

describe("handlers", () => {
  it("answer every request a mount can get, or have none on purpose", () => {
    const without = op.opcodes.filter((row) => row !== undefined && handlers[row.number] === undefined);
    expect(without.map((row) => row?.name)).toEqual(["INIT"]);
  });
});

describe("spinning", () => {
  it("waits longer when requests come soon after it gave up, and shorter when they do not", () => {
    const spin = new Spin(100);
    expect(spin.microseconds).toBe(50);
    spin.gaveUp(1);
    spin.woken(1.01);
    expect(spin.microseconds).toBeCloseTo(90);
    spin.gaveUp(2);
    spin.woken(3);
    expect(spin.microseconds).toBeCloseTo(45);
    for (let i = 0; i < 20; i++) {
      spin.gaveUp(i * 100);
      spin.woken(i * 100 + 50);
    }
    expect(spin.microseconds).toBe(5);
    spin.gaveUp(0);
    spin.woken(0.05);
    expect(spin.microseconds).toBeGreaterThan(50);
  });

  it("can be turned off", () => {
    const spin = new Spin(0);
    expect(spin.microseconds).toBe(0);
    spin.gaveUp(0);
    spin.woken(0.001);
    expect(spin.microseconds).toBe(0);
  });
});

function parked(unique: number, pid = 1): Request {
  const request = new Request(64);
  request.uniqueLow = unique;
  request.pid = pid;
  return request;
}

describe("parking", () => {
  it("gives requests back by job, in their order, once", () => {
    const parking = new Parking(() => {});
    const [a, b, other] = [parked(1), parked(2), parked(3)];
    parking.park(7, a);
    parking.park(8, other);
    parking.park(7, b);
    expect(parking.count).toBe(3);
    expect(parking.take(7)).toEqual([a, b]);
    expect(parking.take(7)).toEqual([]);
    expect(parking.count).toBe(1);
  });

  it("gives up an interrupted request only when its caller is being killed", () => {
    const given: Request[] = [];
    const dying = new Set<number>();
    const parking = new Parking(
      (request) => void given.push(request),
      (pid) => dying.has(pid),
    );
    const [a, b] = [parked(1, 10), parked(2, 20)];
    parking.park(7, a);
    parking.park(7, b);
    parking.interrupt(1, 0);
    parking.interrupt(99, 0);
    expect(given).toEqual([]);
    dying.add(10).add(20);
    parking.checkInterrupted();
    expect(given).toEqual([a]);
    expect(parking.take(7)).toEqual([b]);
    parking.clear();
  });

  it("knows a pending SIGKILL", () => {
    const status = (thread: string, process: string) =>
      `Name:\tx\nSigPnd:\t${thread}\nShdPnd:\t${process}\nSigBlk:\t0000000000000100\n`;
    expect(isKilled(status("0000000000000000", "0000000000000000"))).toBe(false);
    expect(isKilled(status("0000000000000002", "0000000000004000"))).toBe(false);
    expect(isKilled(status("0000000000000100", "0000000000000000"))).toBe(true);
    expect(isKilled(status("0000000000000000", "0000000000000102"))).toBe(true);
  });
});

describe("mountinfo", () => {
  it("is parsed with its escapes and optional fields", () => {
    const text = [
      "85 64 0:39 / /mnt/a\\040b\\134c rw,noatime shared:1 master:2 - fuse.cowfs my\\040source rw,user_id=0",
      "22 1 8:1 /sub /\\303\\244 ro - ext4 /dev/sda1 rw",
      "nonsense",
      "",
    ].join("\n");
    expect(parseMountinfo(text)).toEqual([
      {
        id: 85,
        parent: 64,
        major: 0,
        minor: 39,
        root: "/",
        mountpoint: "/mnt/a b\\c",
        options: "rw,noatime",
        tags: ["shared:1", "master:2"],
        type: "fuse.cowfs",
        source: "my source",
        superOptions: "rw,user_id=0",
      },
      {
        id: 22,
        parent: 1,
        major: 8,
        minor: 1,
        root: "/sub",
        mountpoint: "/\xc3\xa4",
        options: "ro",
        tags: [],
        type: "ext4",
        source: "/dev/sda1",
        superOptions: "rw",
      },
    ]);
  });
});

describe("statistics", () => {
  it("counts, and tells times within a bucket's width", () => {
    const statistics = new Statistics();
    let timed = 0;
    for (let i = 0; i < 1600; i++) if (statistics.count(op.LOOKUP)) timed++;
    expect(timed).toBe(100);
    for (let i = 0; i < 99; i++) statistics.time(op.LOOKUP, 0.01);
    statistics.time(op.LOOKUP, 5);
    statistics.error(op.LOOKUP);
    const { LOOKUP } = statistics.report();
    expect(LOOKUP?.requests).toBe(1600);
    expect(LOOKUP?.errors).toBe(1);
    expect(LOOKUP?.p50).toBeGreaterThan(8);
    expect(LOOKUP?.p50).toBeLessThan(12);
    expect(statistics.quantile(op.LOOKUP, 1)).toBeGreaterThan(4000);
  });

  it("survives opcodes it does not know", () => {
    const statistics = new Statistics();
    expect(statistics.count(5000)).toBe(false);
    statistics.error(5000);
    statistics.time(5000, 1);
    expect(statistics.report()).toEqual({});
  });
});
