import { EINTR, EIO, ENOENT, ENOSYS, errnoName, ignore } from "../errno.js";
import { native } from "../native/index.js";
import { INIT_SETXATTR_EXT, inHeaderSize } from "../protocol/constants.js";
import {
  BATCH_FORGET,
  COPY_FILE_RANGE,
  COPY_FILE_RANGE_64,
  FORGET,
  LSEEK,
  OPEN,
  opcodeName,
  opcodes,
  READ,
  RELEASE,
  SETXATTR,
} from "../protocol/opcodes.js";
import type { Request } from "../protocol/request.js";
import { traceReply, traceRequest } from "../protocol/trace.js";
import { PARK } from "../union/park.js";
import { handlers } from "./handlers.js";
import { Parking } from "./parking.js";
import { NO_REPLY, type Service } from "./service.js";
import { Statistics } from "./statistics.js";

/** Bytes of the longer form of SETXATTR's fixed part. */
const setxattrExtendedSize = 16;

/**
 * Requests for exactly the node that they name, be it an old row with a successor (open-files.ts): what those who have it open
 * read, and the kernel's own counts.
 */
const meansItself = new Set([BATCH_FORGET, COPY_FILE_RANGE, COPY_FILE_RANGE_64, FORGET, LSEEK, OPEN, READ, RELEASE]);

/** From the bytes of a request to the bytes of its answer: checks, handler, error, trace, parking. */
export class Dispatcher {
  readonly statistics = new Statistics();
  readonly parking: Parking;
  /** The request the receive loop uses; `service.request` is another one while a parked one is handled again. */
  private readonly main: Request;

  constructor(
    private readonly service: Service,
    private readonly trace: boolean,
  ) {
    this.main = service.request;
    this.parking = new Parking((request) => this.answer(request, -EINTR));
  }

  /**
   * Handles the request of `received` bytes in `service.request`. Returns the length of the answer in `service.reply`; 0
   * if there is none, or none yet.
   */
  dispatch(received: number): number {
    const { request } = this.service;
    const parsed = request.parseHeader(received);
    return parsed < 0 ? this.malformed(request, parsed, "its header is wrong") : this.handle(request);
  }

  private handle(request: Request): number {
    const s = this.service;
    const { opcode } = request;
    const timed = this.statistics.count(opcode);
    const start = timed ? performance.now() : 0;
    const result = this.run(request);
    if (timed) this.statistics.time(opcode, performance.now() - start);
    const length = this.conclude(request, result);
    if (this.trace && length > 0) s.log("debug", traceReply(opcode, s.reply));
    return length;
  }

  /** Runs the handler: its result, or -EIO for a malformed request and for an exception. */
  private run(request: Request): number {
    const s = this.service;
    const { opcode } = request;
    const row = opcodes[opcode];
    const handler = handlers[opcode];
    if (row === undefined || handler === undefined) {
      s.log("debug", `${opcodeName(opcode)}: not implemented`, { nodeid: request.nodeid });
      return -ENOSYS;
    }
    const fixed = opcode === SETXATTR && s.agreement.setxattrExtended ? setxattrExtendedSize : row.fixed;
    const parsed = request.parseBody(row, fixed);
    if (parsed < 0) {
      if (parsed === -EIO) this.report(request, "its body is too short or lacks a NUL");
      return row.answer === "none" ? NO_REPLY : parsed;
    }
    if (this.trace) s.log("debug", traceRequest(request));
    s.cred.uid = request.uid;
    s.cred.gid = request.gid;
    const { openFiles } = s.union;
    if (openFiles.anySucceeded && !meansItself.has(opcode)) request.nodeid = openFiles.current(request.nodeid);
    s.reply.begin();
    let result: number;
    try {
      result = handler(s);
    } catch (error) {
      this.statistics.exceptions++;
      const stack = error instanceof Error ? error.stack : String(error);
      s.log("error", `${row.name} failed with an exception`, { nodeid: request.nodeid, stack });
      result = -EIO;
    }
    return row.answer === "none" ? NO_REPLY : result;
  }

  /** Turns a handler's result into the length of the answer to send. */
  private conclude(request: Request, result: number): number {
    const s = this.service;
    if (result >= 0) return s.reply.finish(request.uniqueLow, request.uniqueHigh);
    if (result === NO_REPLY) return 0;
    if (result === PARK) {
      // The receive buffer is needed again; a request that parks a second time already has its own bytes.
      const kept = request === this.main ? request.clone() : request;
      if (kept !== request) ignore(kept.parseHeader(request.length), "it was parsed before");
      this.parking.park(s.union.parkedOn, kept);
      return 0;
    }
    this.statistics.error(request.opcode);
    return s.reply.fail(result, request.uniqueLow, request.uniqueHigh);
  }

  /** A job has ended: its waiting requests are handled again, or fail with `error`, and are answered. */
  jobEnded(job: number, error: number): void {
    const s = this.service;
    for (const request of this.parking.take(job)) {
      if (error < 0) {
        this.answer(request, error);
        continue;
      }
      s.request = request;
      try {
        const length = this.handle(request);
        if (length > 0) this.send(length);
      } finally {
        s.request = this.main;
      }
    }
  }

  /** Answers a request with an error, now. Must not be called while an answer is being built. */
  private answer(request: Request, error: number): void {
    this.statistics.error(request.opcode);
    this.send(this.service.reply.fail(error, request.uniqueLow, request.uniqueHigh));
  }

  /** Sends the answer in `service.reply` by itself. */
  send(length: number): void {
    const sent = native.reply(this.service.channel, this.service.reply.bytes, length);
    this.checkSent(sent);
  }

  /** Reports a failed write; ENOENT only means that nobody waits for the answer any more. */
  checkSent(result: number): void {
    if (result >= 0 || result === -ENOENT) return;
    this.service.log("warn", `an answer could not be sent: ${errnoName(result)}`);
  }

  private malformed(request: Request, error: number, why: string): number {
    this.report(request, why);
    // Without a whole header there is no unique to answer to.
    if (request.length < inHeaderSize) return 0;
    return this.service.reply.fail(error, request.uniqueLow, request.uniqueHigh);
  }

  private report(request: Request, why: string): void {
    this.statistics.malformed++;
    this.service.log("error", `malformed request ${opcodeName(request.opcode)}: ${why}`, {
      nodeid: request.nodeid,
      length: request.length,
    });
  }
}

/** What a handler must know of the flags that INIT agreed on. */
export function setxattrExtended(flags: number): boolean {
  return (flags & INIT_SETXATTR_EXT) !== 0;
}
