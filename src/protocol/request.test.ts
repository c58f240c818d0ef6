import { describe, expect, it } from "vitest";
import { EINVAL, EIO, ENAMETOOLONG } from "../errno.js";
import * as op from "./opcodes.js";
import { fromHalves, fromSignedHalves } from "./request.js";
import { bytes, received, requestBytes, u32, u64 } from "./testing.js";

/** Parses a request that must be well formed. */
function parse(message: Buffer, fixed?: number) {
  const { request, header } = received(message);
  expect(header).toBe(0);
  const row = op.opcodes[request.opcode];
  if (row === undefined) throw new Error("no such opcode");
  return { request, body: request.parseBody(row, fixed ?? row.fixed) };
}

describe("the header", () => {
  it("is read field by field", () => {
    // Captured layout: len, opcode, unique, nodeid, uid, gid, pid, total_extlen, padding.
    const message = bytes(
      ["2c 00 00 00 01 00 00 00 0c 00 00 00 01 00 00 80 05 00 00 00 00 00 00 00"],
      ["e8 03 00 00 e9 03 00 00 39 30 00 00 00 00 00 00"],
      "etc\0",
    );
    const { request, header } = received(message);
    expect(header).toBe(0);
    expect(request).toMatchObject({
      opcode: op.LOOKUP,
      uniqueLow: 12,
      uniqueHigh: 0x80000001,
      nodeid: 5,
      uid: 1000,
      gid: 1001,
      pid: 12345,
      length: 44,
      bodyLength: 4,
    });
  });

  it("must tell the true length", () => {
    expect(received(requestBytes({ opcode: op.LOOKUP, length: 43 }, bytes("etc\0"))).header).toBe(-EIO);
    expect(received(requestBytes({ opcode: op.LOOKUP, length: 45 }, bytes("etc\0"))).header).toBe(-EIO);
  });

  it("must be whole", () => {
    const whole = requestBytes({ opcode: op.STATFS });
    for (let length = 0; length < 40; length += 8) expect(received(whole.subarray(0, length)).header).toBe(-EIO);
    expect(received(whole).header).toBe(0);
  });

  it("keeps extensions apart from the body", () => {
    const body = bytes(
      u32(0o755),
      u32(0o22),
      "d\0",
      ["00 00 00 00 00 00"],
      ["18 00 00 00 20 00 00 00"],
      Buffer.alloc(16).toString("latin1"),
    );
    const { request } = parse(requestBytes({ opcode: op.MKDIR, extensions: 24 }, body));
    expect(request.bodyLength).toBe(16);
    expect(request.name()).toBe("d");
    expect(received(requestBytes({ opcode: op.STATFS, extensions: 8 })).header).toBe(-EIO);
  });
});

describe("numbers of 64 bits", () => {
  it("are exact below 2^53 and refused above", () => {
    expect(fromHalves(0, 1)).toBe(2 ** 32);
    expect(fromHalves(0xffffffff, 0x1fffff)).toBe(Number.MAX_SAFE_INTEGER);
    expect(fromHalves(0, 0x200000)).toBeNaN();
    expect(fromHalves(0xffffffff, 0xffffffff)).toBeNaN();
  });

  it("may be negative where they are signed", () => {
    expect(fromSignedHalves(0xffffffff, 0xffffffff)).toBe(-1);
    expect(fromSignedHalves(0, 0xfffffffe)).toBe(-(2 ** 33));
    expect(fromSignedHalves(5, 0)).toBe(5);
    expect(fromSignedHalves(0, 0x80000000)).toBeNaN();
  });
});

describe("bodies", () => {
  it("LOOKUP: a name of any bytes", () => {
    const { request, body } = parse(requestBytes({ opcode: op.LOOKUP }, bytes(0xff, 0xe4, "\n ", 0)));
    expect(body).toBe(0);
    expect(request.name()).toBe("\xff\xe4\n ");
  });

  it("LOOKUP: a name needs its NUL inside the request", () => {
    expect(parse(requestBytes({ opcode: op.LOOKUP }, bytes("etc"))).body).toBe(-EIO);
    expect(parse(requestBytes({ opcode: op.LOOKUP })).body).toBe(-EIO);
    expect(parse(requestBytes({ opcode: op.LOOKUP }, bytes(0))).body).toBe(-EINVAL);
  });

  it("LOOKUP: 255 bytes are a name, 256 are too many", () => {
    expect(parse(requestBytes({ opcode: op.LOOKUP }, bytes("x".repeat(255), 0))).body).toBe(0);
    expect(parse(requestBytes({ opcode: op.LOOKUP }, bytes("x".repeat(256), 0))).body).toBe(-ENAMETOOLONG);
  });

  it("MKNOD: mode, rdev, umask, name", () => {
    const { request } = parse(
      requestBytes({ opcode: op.MKNOD }, bytes(u32(0o20666), u32(0x0103), u32(0o27), u32(0), "null\0")),
    );
    expect([request.u32(0), request.u32(4), request.u32(8), request.name()]).toEqual([0o20666, 0x0103, 0o27, "null"]);
  });

  it("SYMLINK: the text may be longer than a name", () => {
    const target = `/${"y".repeat(4000)}`;
    const { request, body } = parse(requestBytes({ opcode: op.SYMLINK }, bytes("s\0", target, 0)));
    expect(body).toBe(0);
    expect([request.name(), request.secondName()]).toEqual(["s", target]);
  });

  it("RENAME2: new directory, flags, both names, each with its NUL", () => {
    const fixed = bytes(u64(7), u32(2), u32(0));
    const { request, body } = parse(
      requestBytes({ opcode: op.RENAME2 }, bytes(fixed.toString("latin1"), "old\0new\0")),
    );
    expect(body).toBe(0);
    expect([request.u64(0), request.u32(8), request.name(), request.secondName()]).toEqual([7, 2, "old", "new"]);
    expect(parse(requestBytes({ opcode: op.RENAME2 }, bytes(fixed.toString("latin1"), "old\0new"))).body).toBe(-EIO);
    const long = bytes(fixed.toString("latin1"), "old\0", "n".repeat(256), 0);
    expect(parse(requestBytes({ opcode: op.RENAME2 }, long)).body).toBe(-ENAMETOOLONG);
  });

  it("SETATTR: size above 4 GiB, times before 1970", () => {
    const body = bytes(
      u32(0x6f),
      u32(0),
      u64(0),
      u64(5 * 2 ** 32 + 7),
      u64(0),
      u64(-1n),
      u64(-(2n ** 33n)),
      u64(0),
      u32(999_999_999),
      u32(1),
      u32(0),
      u32(0o100644),
      u32(0),
      u32(1000),
      u32(0xfffffffe),
      u32(0),
    );
    expect(body.length).toBe(88);
    const { request, body: parsed } = parse(requestBytes({ opcode: op.SETATTR }, body));
    expect(parsed).toBe(0);
    expect(request.u64(16)).toBe(21_474_836_487);
    expect([request.i64(32), request.i64(40)]).toEqual([-1, -(2 ** 33)]);
    expect([request.u32(56), request.u32(60)]).toEqual([999_999_999, 1]);
    expect([request.u32(68), request.u32(76), request.u32(80)]).toEqual([0o100644, 1000, 4294967294]);
  });

  it("WRITE: data behind 40 bytes", () => {
    const body = bytes(u64(0), u64(2 ** 40), u32(5), u32(4), u64(0), u32(0o2), u32(0), "hello");
    const { request } = parse(requestBytes({ opcode: op.WRITE }, body));
    expect(request.u64(8)).toBe(2 ** 40);
    expect(Buffer.from(request.view(40, 5)).toString()).toBe("hello");
    expect(request.bodyLength - 40).toBe(5);
  });

  it("SETXATTR: both lengths of its fixed part", () => {
    const short = requestBytes({ opcode: op.SETXATTR }, bytes(u32(2), u32(1), "user.a\0", "xy"));
    const one = parse(short);
    expect(one.request.name()).toBe("user.a");
    expect(Buffer.from(one.request.view(one.request.afterName, 2)).toString()).toBe("xy");
    const long = requestBytes({ opcode: op.SETXATTR }, bytes(u32(2), u32(1), u32(1), u32(0), "user.a\0", "xy"));
    const two = parse(long, 16);
    expect(two.request.name()).toBe("user.a");
    expect(two.request.afterName).toBe(23);
  });

  it("each opcode refuses a body shorter than its row says", () => {
    for (const row of op.opcodes) {
      if (row === undefined || row.minimum === 0) continue;
      const { body } = parse(requestBytes({ opcode: row.number }, Buffer.alloc(row.minimum - 1)));
      expect(body, row.name).toBe(-EIO);
    }
  });
});

describe("clone", () => {
  it("keeps a request when the buffer is used again", () => {
    const { request } = parse(requestBytes({ opcode: op.UNLINK, nodeid: 9, unique: 44n }, bytes("gone\0")));
    const kept = request.clone();
    request.bytes.fill(0);
    expect(kept.parseHeader(kept.bytes.length >= 45 ? 45 : 0)).toBe(0);
    const row = op.opcodes[op.UNLINK];
    expect(row && kept.parseBody(row, row.fixed)).toBe(0);
    expect([kept.nodeid, kept.uniqueLow, kept.name()]).toEqual([9, 44, "gone"]);
  });
});

describe("the opcode table", () => {
  it("has a row for each request of protocol 7.45", () => {
    const missing = [7, 19];
    for (let number = 1; number < op.opcodeLimit; number++) {
      expect(op.opcodes[number] === undefined, `opcode ${number}`).toBe(missing.includes(number));
      if (op.opcodes[number] !== undefined) expect(op.opcodes[number]?.number).toBe(number);
    }
  });

  it("knows which requests have no answer", () => {
    const silent = op.opcodes.filter((row) => row?.answer === "none").map((row) => row?.name);
    expect(silent).toEqual(["FORGET", "INTERRUPT", "NOTIFY_REPLY", "BATCH_FORGET"]);
  });
});
