import { describe, expect, it } from "vitest";
import { ENOENT } from "../errno.js";
import { Stat } from "../layer/stat.js";
import { readInit, writeInit } from "./init.js";
import { Notification } from "./notification.js";
import * as op from "./opcodes.js";
import { deviceMajor, deviceMinor, encodeDevice, Reply, validity } from "./reply.js";
import { bytes, type Part, received, requestBytes, u32, u64 } from "./testing.js";
import { traceReply, traceRequest } from "./trace.js";

const hour = validity(3600);

function started(): Reply {
  const reply = new Reply(4096, hour);
  reply.bytes.fill(0x41);
  reply.begin();
  return reply;
}

/** The answer as hexadecimal text, without its header. */
function payload(reply: Reply): string {
  return reply.bytes.subarray(16, reply.length).toString("hex");
}

/** A struct statx with another value in each field. */
function sample(): Stat {
  const stat = new Stat();
  const view = new DataView(stat.bytes.buffer);
  stat.bytes.fill(0x5a, 144);
  view.setUint32(0, 0xfff, true);
  view.setUint32(4, 4096, true);
  view.setUint32(16, 3, true);
  view.setUint32(20, 1000, true);
  view.setUint32(24, 1001, true);
  view.setUint16(28, 0o100755, true);
  view.setUint16(30, 0xffff, true);
  view.setBigUint64(32, 0xfedcba9876543210n, true);
  view.setBigUint64(40, 5n * 2n ** 32n + 7n, true);
  view.setBigUint64(48, 2n ** 33n, true);
  view.setBigInt64(64, -1n, true);
  view.setUint32(72, 111, true);
  view.setBigInt64(80, 1n, true);
  view.setUint32(88, 222, true);
  view.setBigInt64(96, 2n ** 32n, true);
  view.setUint32(104, 333, true);
  view.setBigInt64(112, -(2n ** 33n), true);
  view.setUint32(120, 444, true);
  view.setUint32(128, 8, true);
  view.setUint32(132, 0x12345, true);
  view.setUint32(136, 99, true);
  view.setUint32(140, 98, true);
  return stat;
}

/** struct fuse_attr of `sample`: an inode number above 2^53, a size above 4 GiB, times before 1970. */
const attr = bytes(
  u64(0xfedcba9876543210n),
  u64(5n * 2n ** 32n + 7n),
  u64(2n ** 33n),
  u64(-1n),
  u64(-(2n ** 33n)),
  u64(2n ** 32n),
  u32(111),
  u32(444),
  u32(333),
  u32(0o100755),
  u32(3),
  u32(1000),
  u32(1001),
  u32(encodeDevice(8, 0x12345)),
  u32(4096),
  u32(0),
).toString("hex");

function hex(...parts: readonly Part[]): string {
  return bytes(...parts).toString("hex");
}

describe("answers", () => {
  it("have a header of length, error, unique", () => {
    const reply = started();
    expect(reply.finish(0xfffffffe, 0x80000000)).toBe(16);
    expect(reply.bytes.subarray(0, 16).toString("hex")).toBe("1000000000000000feffffff00000080");
  });

  it("carry an error as a negative number, and nothing else", () => {
    const reply = started();
    reply.entry(2, 0, sample().words);
    expect(reply.fail(-ENOENT, 12, 0)).toBe(16);
    expect(reply.bytes.subarray(0, 16).toString("hex")).toBe("10000000feffffff0c00000000000000");
  });

  it("entry: nodeid, generation, both validities, attributes", () => {
    const reply = started();
    reply.entry(5, 9, sample().words);
    expect(reply.finish(1, 0)).toBe(16 + 128);
    expect(payload(reply)).toBe(hex(u64(5), u64(9), u64(3600), u64(3600), u32(0), u32(0)) + attr);
  });

  it("negative entry: nodeid 0 that may be remembered", () => {
    const reply = started();
    reply.negativeEntry();
    expect(payload(reply)).toBe(hex(u64(0), u64(0), u64(3600), u64(0), u32(0), u32(0)) + "00".repeat(88));
  });

  it("attr: validity, attributes", () => {
    const reply = started();
    reply.attrOut(sample().words);
    expect(reply.finish(1, 0)).toBe(16 + 104);
    expect(payload(reply)).toBe(hex(u64(3600), u32(0), u32(0)) + attr);
  });

  it("statx: the known part of struct statx, the rest zero", () => {
    const reply = started();
    const stat = sample();
    reply.statxOut(stat.words);
    expect(reply.finish(1, 0)).toBe(16 + 288);
    const known = Buffer.from(stat.bytes.subarray(0, 144));
    known.writeUInt16LE(0, 30);
    expect(payload(reply)).toBe(
      hex(u64(3600), u32(0), u32(0), u64(0), u64(0)) + known.toString("hex") + "00".repeat(112),
    );
  });

  it("validity: fractions, and times beyond 32 bits", () => {
    expect(validity(1.5)).toEqual({ seconds: 1, nanoseconds: 500_000_000 });
    expect(validity(0)).toEqual({ seconds: 0, nanoseconds: 0 });
    const reply = new Reply(4096, validity(2 ** 33 + 0.25));
    reply.attrOut(sample().words);
    expect(payload(reply).slice(0, 32)).toBe(hex(u64(2 ** 33), u32(250_000_000), u32(0)));
  });

  it("open, write, getxattr, lseek, ioctl", () => {
    const reply = started();
    reply.open(2 ** 33 + 1, 10);
    reply.written(1 << 20);
    reply.xattrSize(40);
    reply.offset(2 ** 52);
    reply.ioctl(0);
    const expected = [u64(2 ** 33 + 1), u32(10), u32(0), u32(1 << 20), u32(0), u32(40), u32(0), u64(2 ** 52)];
    expect(payload(reply)).toBe(hex(...expected) + "00".repeat(16));
  });

  it("statfs: from the kernel's struct statfs", () => {
    const raw = bytes(
      u64(0xef53),
      u64(4096),
      u64(2n ** 60n),
      u64(2),
      u64(3),
      u64(4),
      u64(5),
      u64(77),
      u64(255),
      u64(1024),
      u64(4128),
      Buffer.alloc(32).toString("latin1"),
    );
    const reply = started();
    reply.statfs(raw);
    const expected = [u64(2n ** 60n), u64(2), u64(3), u64(4), u64(5), u32(4096), u32(255), u32(1024)];
    expect(payload(reply)).toBe(hex(...expected) + "00".repeat(28));
  });

  it("device numbers: 12 bits of major, 20 of minor", () => {
    expect(encodeDevice(1, 3)).toBe(0x103);
    expect(encodeDevice(0xfff, 0xfffff)).toBe(0xffffffff);
    for (const [major, minor] of [
      [0, 0],
      [8, 1],
      [259, 0x12345],
      [0xfff, 0xfffff],
    ] as const) {
      const device = encodeDevice(major, minor);
      expect([deviceMajor(device), deviceMinor(device)]).toEqual([major, minor]);
    }
  });
});

describe("directory entries", () => {
  it("are padded to 8 bytes with zeros", () => {
    const reply = started();
    reply.dirent("abc", 8, 0x10, 0x80000000, 2 ** 40);
    reply.dirent("x".repeat(40), 4, 1, 0, 3);
    const first = hex(u64(0x8000000000000010n), u64(2 ** 40), u32(3), u32(8), "abc", 0, 0, 0, 0, 0);
    const second = hex(u64(1), u64(3), u32(40), u32(4), "x".repeat(40));
    expect(payload(reply)).toBe(first + second);
  });

  it("with READDIRPLUS carry the node in front", () => {
    const reply = started();
    reply.direntPlus("\xfff", 8, 1, 0, 3, 7, 1, sample().words);
    const entry = hex(u64(7), u64(1), u64(3600), u64(3600), u32(0), u32(0)) + attr;
    expect(payload(reply)).toBe(entry + hex(u64(1), u64(3), u32(2), u32(8), "\xfff", 0, 0, 0, 0, 0, 0));
  });

  it("with READDIRPLUS but no node have an empty one in front", () => {
    const reply = started();
    reply.direntPlus("..", 4, 1, 0, 3, 0, 0, sample().words);
    expect(payload(reply)).toBe(`${"00".repeat(128)}${hex(u64(1), u64(3), u32(2), u32(4), "..", 0, 0, 0, 0, 0, 0)}`);
  });

  it("stop at the limit, to the byte", () => {
    const reply = started();
    expect(reply.direntFits(8, false, 16 + 32)).toBe(true);
    expect(reply.direntFits(9, false, 16 + 32)).toBe(false);
    expect(reply.direntFits(8, true, 16 + 160)).toBe(true);
    expect(reply.direntFits(9, true, 16 + 160)).toBe(false);
  });
});

describe("INIT", () => {
  it("reads a kernel's request and writes 64 bytes", () => {
    const body = bytes(u32(7), u32(45), u32(131072), u32(0x73fffffb), u32(0x5fd), "\0".repeat(44));
    const { request } = received(requestBytes({ opcode: op.INIT, nodeid: 0 }, body));
    expect(readInit(request)).toEqual({ major: 7, minor: 45, maxReadahead: 131072, flags: 0x73fffffb, flags2: 0x5fd });
    const reply = started();
    writeInit(reply, {
      major: 7,
      minor: 45,
      maxReadahead: 131072,
      flags: 0x70000001,
      flags2: 2,
      maxBackground: 64,
      congestionThreshold: 48,
      maxWrite: 1 << 20,
      timeGranularity: 1,
      maxPages: 256,
      maxStackDepth: 0,
    });
    expect(reply.finish(2, 0)).toBe(16 + 64);
    const expected = [
      u32(7),
      u32(45),
      u32(131072),
      u32(0x70000001),
      ["40003000"],
      u32(1 << 20),
      u32(1),
      u32(256),
      u32(2),
    ] as const;
    expect(payload(reply)).toBe(hex(...expected) + "00".repeat(28));
  });

  it("reads the shorter request of kernels before 7.36", () => {
    const { request } = received(requestBytes({ opcode: op.INIT }, bytes(u32(7), u32(31), u32(4096), u32(1))));
    expect(readInit(request)).toEqual({ major: 7, minor: 31, maxReadahead: 4096, flags: 1, flags2: 0 });
  });
});

describe("notifications", () => {
  const message = new Notification();
  const sent = (length: number) => message.bytes.subarray(0, length).toString("hex");

  it("carry their code in the place of the error, and unique 0", () => {
    expect(sent(message.invalInode(5, 0, 0))).toBe(hex(u32(40), u32(2), u64(0), u64(5), u64(0), u64(0)));
    expect(sent(message.invalInode(5, -1, 0))).toBe(hex(u32(40), u32(2), u64(0), u64(5), u64(-1n), u64(0)));
    expect(sent(message.invalEntry(1, "a\xff", 1))).toBe(
      hex(u32(35), u32(3), u64(0), u64(1), u32(2), u32(1), "a\xff", 0),
    );
    expect(sent(message.delete(1, 2 ** 33, "gone"))).toBe(
      hex(u32(45), u32(6), u64(0), u64(1), u64(2 ** 33), u32(4), u32(0), "gone", 0),
    );
  });
});

describe("trace lines", () => {
  function line(opcode: number, body: Buffer): string {
    const { request } = received(requestBytes({ opcode, unique: 12n }, body));
    const row = op.opcodes[opcode];
    expect(row && request.parseBody(row, row.fixed)).toBe(0);
    return traceRequest(request);
  }

  it("show names and numbers of requests", () => {
    expect(line(op.LOOKUP, bytes("etc\0"))).toBe('rx 12: LOOKUP n1 "etc"');
    expect(line(op.LOOKUP, bytes('a\n"\xff', 0))).toBe('rx 12: LOOKUP n1 "a\\x0a\\x22\\xff"');
    expect(line(op.RENAME, bytes(u64(3), "a\0b\0"))).toBe('rx 12: RENAME n1 "a" "b" to n3');
    expect(line(op.MKDIR, bytes(u32(0o755), u32(0o22), "d\0"))).toBe('rx 12: MKDIR n1 "d" mode 0755 umask 022');
    expect(line(op.STATFS, Buffer.alloc(0))).toBe("rx 12: STATFS n1");
  });

  it("show answers", () => {
    const reply = started();
    reply.entry(5, 0, sample().words);
    reply.finish(12, 0);
    expect(traceReply(op.LOOKUP, reply)).toBe("tx 12: OK n5");
    reply.begin();
    reply.negativeEntry();
    reply.finish(12, 0);
    expect(traceReply(op.LOOKUP, reply)).toBe("tx 12: OK, no entry");
    reply.fail(-ENOENT, 12, 1);
    expect(traceReply(op.LOOKUP, reply)).toBe("tx 4294967308: ENOENT");
    reply.begin();
    reply.finish(12, 0);
    expect(traceReply(op.UNLINK, reply)).toBe("tx 12: OK");
  });
});
