/** For tests: requests as the kernel writes them, byte by byte. */
import { Request } from "./request.js";

/** A byte, a latin1 string, or hexadecimal text in an array of one: `["00 01"]`. */
export type Part = number | string | readonly [string];

/** Joins bytes. */
export function bytes(...parts: readonly Part[]): Buffer {
  const list = parts.map((part) => {
    if (typeof part === "number") return Buffer.from([part]);
    return typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part[0].replace(/\s/g, ""), "hex");
  });
  return Buffer.concat(list);
}

export function u32(value: number): readonly [string] {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value >>> 0);
  return [buffer.toString("hex")];
}

/** A signed or unsigned 64-bit number, as the text of a literal may exceed 2^53. */
export function u64(value: bigint | number): readonly [string] {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return [buffer.toString("hex")];
}

export interface Header {
  readonly opcode: number;
  readonly nodeid?: number;
  readonly unique?: bigint;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
  /** What the header claims; the true length if it is left out. */
  readonly length?: number;
  /** Bytes of extensions at the end of `body`. */
  readonly extensions?: number;
}

/** A whole request: header and body. */
export function requestBytes(header: Header, body: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([
    bytes(
      u32(header.length ?? 40 + body.length),
      u32(header.opcode),
      u64(header.unique ?? 2n),
      u64(header.nodeid ?? 1),
      u32(header.uid ?? 0),
      u32(header.gid ?? 0),
      u32(header.pid ?? 0),
      u32((header.extensions ?? 0) / 8),
    ),
    body,
  ]);
}

/** A cursor into which a request has been received; its header is parsed (`header` is the result). */
export function received(message: Buffer): { request: Request; header: number } {
  const request = new Request(1 << 16);
  // What an earlier request left behind must not matter.
  request.bytes.fill(0x41);
  request.bytes.set(message);
  return { request, header: request.parseHeader(message.length) };
}
