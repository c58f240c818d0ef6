import { EINVAL, EIO, ENAMETOOLONG } from "../errno.js";
import { inHeaderSize, nameMax } from "./constants.js";
import type { Opcode } from "./opcodes.js";

const two32 = 4294967296;
/** The highest upper half of a number that a double holds exactly. */
const highMax = 0x1fffff;

/**
 * Two 32-bit halves as a number; NaN where a double could not hold it exactly (2^53 and above). Without a high half it stays a
 * small integer for V8: the product would make a double of it, an object until the code is optimized, and fields that
 * nodeids are stored in would change their representation, which throws away all optimized code that reads their objects.
 */
export function fromHalves(low: number, high: number): number {
  if (high === 0) return low;
  return high > highMax ? Number.NaN : high * two32 + low;
}

/** The same for a signed number, whose halves are unsigned here. */
export function fromSignedHalves(low: number, high: number): number {
  if (high === 0) return low;
  const signed = high | 0;
  return signed > highMax || signed < -highMax - 1 ? Number.NaN : signed * two32 + low;
}

/**
 * A cursor over the bytes of one request: struct fuse_in_header, then a body. It is reused for each request, so nothing
 * read from it as a view may be kept. Offsets of the accessors count from the start of the body.
 */
export class Request {
  /** The memory the kernel's read(2) fills. */
  bytes: Buffer;
  private words: Uint32Array;
  opcode = 0;
  nodeid = 0;
  uniqueLow = 0;
  uniqueHigh = 0;
  uid = 0;
  gid = 0;
  /** The calling thread's id in the pid namespace of the mount; 0 if it has none there. */
  pid = 0;
  /** Bytes of the whole request, header included. */
  length = 0;
  /** Bytes of the body, without extensions. */
  bodyLength = 0;
  private firstStart = 0;
  private firstEnd = 0;
  private secondStart = 0;
  private secondEnd = 0;

  constructor(capacity: number) {
    this.bytes = Buffer.from(new ArrayBuffer((capacity + 7) & ~7));
    this.words = new Uint32Array(this.bytes.buffer);
  }

  /** A request of its own over a copy of this one's bytes, to be answered later. */
  clone(): Request {
    const copy = new Request(this.length);
    copy.bytes.set(this.bytes.subarray(0, this.length));
    return copy;
  }

  /**
   * Takes over the header of a request of which `received` bytes arrived. 0, or -EIO when the bytes cannot be a request
   * (then only `uniqueLow` and `uniqueHigh` count, and those only if `received` reaches the header's end).
   */
  parseHeader(received: number): number {
    const words = this.words;
    this.uniqueLow = words[2] as number;
    this.uniqueHigh = words[3] as number;
    this.opcode = words[1] as number;
    this.length = received;
    if (received < inHeaderSize || words[0] !== received) return -EIO;
    // A nodeid is one that the driver gave out, so it is small; a high half would be somebody else's number.
    this.nodeid = fromHalves(words[4] as number, words[5] as number);
    this.uid = words[6] as number;
    this.gid = words[7] as number;
    this.pid = words[8] as number;
    // total_extlen, in units of 8 bytes, behind the body: none is negotiated, but its bytes are not the body's.
    const extensions = ((words[9] as number) & 0xffff) * 8;
    this.bodyLength = received - inHeaderSize - extensions;
    return this.bodyLength < 0 ? -EIO : 0;
  }

  /**
   * Checks the body against the opcode's row and finds its strings. 0, -EIO for a malformed request, -EINVAL for an empty
   * name or one with a slash, -ENAMETOOLONG. `fixed` replaces the row's length of the part before the strings.
   */
  parseBody(row: Opcode, fixed: number): number {
    if (this.bodyLength < fixed + row.names) return -EIO;
    if (row.names === 0) return 0;
    this.firstStart = inHeaderSize + fixed;
    this.firstEnd = this.findNul(this.firstStart);
    if (this.firstEnd < 0) return -EIO;
    if (row.names === 2) {
      this.secondStart = this.firstEnd + 1;
      this.secondEnd = this.findNul(this.secondStart);
      if (this.secondEnd < 0) return -EIO;
      if (row.secondIsName && this.secondEnd - this.secondStart > nameMax) return -ENAMETOOLONG;
      if (this.secondEnd === this.secondStart) return -EINVAL;
    }
    if (this.firstEnd === this.firstStart) return -EINVAL;
    return this.firstEnd - this.firstStart > nameMax ? -ENAMETOOLONG : 0;
  }

  private findNul(start: number): number {
    const bytes = this.bytes;
    const end = inHeaderSize + this.bodyLength;
    for (let at = start; at < end; at++) if (bytes[at] === 0) return at;
    return -1;
  }

  /** The first string of the body, as latin1. Only after `parseBody` returned 0. */
  name(): string {
    return this.bytes.latin1Slice(this.firstStart, this.firstEnd);
  }

  /** The second string of the body, as latin1. */
  secondName(): string {
    return this.bytes.latin1Slice(this.secondStart, this.secondEnd);
  }

  /** Where the bytes behind the last string start, counted from the start of the body. */
  get afterName(): number {
    return this.firstEnd + 1 - inHeaderSize;
  }

  u32(at: number): number {
    return this.words[(inHeaderSize + at) >>> 2] as number;
  }

  /** NaN for 2^53 and above: the caller answers EINVAL or EFBIG. */
  u64(at: number): number {
    const word = (inHeaderSize + at) >>> 2;
    return fromHalves(this.words[word] as number, this.words[word + 1] as number);
  }

  i64(at: number): number {
    const word = (inHeaderSize + at) >>> 2;
    return fromSignedHalves(this.words[word] as number, this.words[word + 1] as number);
  }

  /** A view of `count` words of the body, valid until the next request. The caller has checked that they are there. */
  wordsAt(at: number, count: number): Uint32Array {
    const word = (inHeaderSize + at) >>> 2;
    return this.words.subarray(word, word + count);
  }

  /** A view of `length` bytes of the body, valid until the next request. The caller has checked that they are there. */
  view(at: number, length: number): Uint8Array {
    return this.bytes.subarray(inHeaderSize + at, inHeaderSize + at + length);
  }
}
