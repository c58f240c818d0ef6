import { EDQUOT, EINTR, EIO, ENOENT, ENOSPC, ENOSYS, errnoName, ignore } from "../errno.js";
import { native } from "../native/index.js";
import { INIT_SETXATTR_EXT, inHeaderSize } from "../protocol/constants.js";
import {
  BATCH_FORGET,
  COPY_FILE_RANGE,
  COPY_FILE_RANGE_64,
  CREATE,
  FALLOCATE,
  FORGET,
  LSEEK,
  OPEN,
  opcodeName,
  opcodes,
  READ,
  RELEASE,
  RMDIR,
  SETXATTR,
  STATFS,
  TMPFILE,
  UNLINK,
} from "../protocol/opcodes.js";
import { Request } from "../protocol/request.js";
import { traceReply, traceRequest } from "../protocol/trace.js";
import { PARK } from "../union/park.js";
import { handlers } from "./handlers.js";
import { Parking } from "./parking.js";
import { NO_REPLY, type Service } from "./service.js";
import { Statistics } from "./statistics.js";

/** Bytes of the longer form of SETXATTR's fixed part. */
const setxattrExtendedSize = 16;
/** How many requests are taken from the queue in search of FORGETs: more processes hardly ever wait at once. */
const drainMost = 1024;

function isFull(result: number): boolean {
  return result === -ENOSPC || result === -EDQUOT;
}

/** A copy of a request that can be answered later. */
function withOwnBytes(request: Request): Request {
  const own = request.clone();
  ignore(own.parseHeader(request.length), "it was parsed before");
  return own;
}

/**
 * Requests for exactly the node that they name, be it an old row with a successor (open-files.ts): what those who have it open
 * read, and the kernel's own counts.
 */
const meansItself = new Set([BATCH_FORGET, COPY_FILE_RANGE, COPY_FILE_RANGE_64, FORGET, LSEEK, OPEN, READ, RELEASE]);

/** After the first three the kernel may write to a file by itself, and the last asks how much room there is. */
const wantsRoom = new Set([CREATE, OPEN, TMPFILE, STATFS]);

/** What is possible with a full quota, too. */
const removes = new Set([UNLINK, RMDIR]);

/** From the bytes of a request to the bytes of its answer: checks, handler, error, trace, parking. */
export class Dispatcher {
  readonly statistics = new Statistics();
  readonly parking: Parking;
  /** The request the receive loop uses; `service.request` is another one while a parked one is handled again. */
  private readonly main: Request;
  /** Requests that came while FORGETs were looked for, each with bytes of its own, in their order. */
  private kept: Request[] = [];
  private drained: Request | null = null;
  private readonly retried = new WeakSet<Request>();
  /** `Forgets.count` when a request began to wait for its job. */
  private readonly forgotten = new WeakMap<Request, number>();
  /** Job → the request that its result answers. */
  private readonly awaiting = new Map<number, Request>();

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
    const start = timed ? native.now() : 0;
    // What is passed through, the kernel writes without asking here: what removed files held must be free by then.
    // A read(2) for each of these while a file without a name is known; otherwise nothing.
    if (s.union.descriptors.hasPinned && wantsRoom.has(opcode)) ignore(this.drainForgets(), "however many");
    let result = this.run(request);
    if (isFull(result) && !s.union.committed && this.drainForgets() > 0) result = this.run(request);
    if (isFull(result) && s.union.project !== null && !s.union.committed && removes.has(opcode)) {
      result = s.union.project.without(() => this.run(request));
    }
    if (timed) this.statistics.time(opcode, native.now() - start);
    const length = this.conclude(request, result);
    if (this.trace && length > 0) s.log("debug", traceReply(opcode, s.reply));
    return length;
  }

  /**
   * Handles the FORGETs that the kernel has queued: a file that was removed a moment ago keeps its blocks until its
   * descriptor here is closed, and nobody may hear that the disk is full before. The kernel hands them out between other
   * requests, which are kept for `handleKept`. Returns how many there were. One read(2) where there are none.
   */
  drainForgets(): number {
    const s = this.service;
    const before = s.request;
    const { uid, gid } = s.cred;
    this.drained ??= new Request(this.main.bytes.length);
    const drained = this.drained;
    let forgets = s.forgets.all();
    for (let count = 0; count < drainMost; count++) {
      const received = native.receive(s.channel, drained.bytes, 0);
      // Also the end of the mount: the loop meets it again.
      if (received < 0) break;
      if (drained.parseHeader(received) < 0) {
        this.report(drained, "its header is wrong");
      } else if (drained.opcode === FORGET || drained.opcode === BATCH_FORGET) {
        s.request = drained;
        ignore(this.handle(drained), "FORGET has no answer");
        ignore(s.forgets.all(), "they count as one");
        forgets++;
      } else {
        this.kept.push(withOwnBytes(drained));
      }
    }
    s.request = before;
    s.cred.uid = uid;
    s.cred.gid = gid;
    return forgets;
  }

  /** Whether requests wait for `handleKept`. */
  get hasKept(): boolean {
    return this.kept.length > 0;
  }

  /** Handles and answers the requests that `drainForgets` met. Must not be called while an answer is being built. */
  handleKept(): void {
    const s = this.service;
    while (this.kept.length > 0) {
      const list = this.kept;
      this.kept = [];
      for (const request of list) this.handleOwn(request);
    }
    s.request = this.main;
  }

  /** Handles a request that has bytes of its own, and answers it. */
  private handleOwn(request: Request): void {
    const s = this.service;
    s.request = request;
    try {
      const length = this.handle(request);
      if (length > 0) this.send(length);
    } finally {
      s.request = this.main;
    }
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
    s.union.committed = false;
    let result: number;
    try {
      result = handler(s);
    } catch (error) {
      this.failed(row.name, request.nodeid, error);
      result = -EIO;
    }
    return row.answer === "none" ? NO_REPLY : result;
  }

  private failed(what: string, nodeid: number, error: unknown): void {
    this.statistics.exceptions++;
    const stack = error instanceof Error ? error.stack : String(error);
    this.service.log("error", `${what} failed with an exception`, { nodeid, stack });
  }

  /** Handles some of the FORGETs that were put off. */
  forgetSome(): void {
    try {
      this.service.forgets.some();
    } catch (error) {
      this.failed("BATCH_FORGET", 0, error);
    }
  }

  /** Turns a handler's result into the length of the answer to send. */
  private conclude(request: Request, result: number): number {
    const s = this.service;
    if (result >= 0) return s.reply.finish(request.uniqueLow, request.uniqueHigh);
    if (result === NO_REPLY) return 0;
    if (result === PARK) {
      this.parking.park(s.union.parkedOn, this.keep(request));
      return 0;
    }
    this.statistics.error(request.opcode);
    return s.reply.fail(this.toldAs(result), request.uniqueLow, request.uniqueHigh);
  }

  /** The limit on the upper is what users see as the size of their disk, though it is a quota to its file system. */
  private toldAs(error: number): number {
    return error === -EDQUOT && this.service.union.project !== null ? -ENOSPC : error;
  }

  /** The receive buffer is needed again; a request that waits a second time already has its own bytes. */
  private keep(request: Request): Request {
    const kept = request === this.main ? withOwnBytes(request) : request;
    this.forgotten.set(kept, this.service.forgets.count);
    return kept;
  }

  /** Whether there may be room that a kept request did not find: FORGETs were handled since, while its job was at work, or are now. */
  private mayHaveRoom(request: Request): boolean {
    ignore(this.drainForgets(), "counted below, with earlier ones");
    return this.service.forgets.count > (this.forgotten.get(request) ?? 0);
  }

  /** A job has ended: its waiting requests are handled again, or fail with `error`, and are answered. */
  jobEnded(job: number, error: number): void {
    for (const request of this.parking.take(job)) {
      const again = isFull(error) && this.mayHaveRoom(request) && this.mayTryAgain(request);
      if (error < 0 && !again) this.answer(request, error);
      else this.handleOwn(request);
    }
    this.handleKept();
  }

  /** Whether a request that found the disk full may be handled once more, now that there may be room: once. */
  private mayTryAgain(request: Request): boolean {
    if (this.retried.has(request)) return false;
    this.retried.add(request);
    return true;
  }

  /** The request being handled is answered with the result of a job. */
  awaits(job: number): number {
    this.awaiting.set(job, this.keep(this.service.request));
    return NO_REPLY;
  }

  /** A job has ended with `result`: whether a request awaited that, which then is answered, or handled again. */
  answerAwaiting(job: number, result: number): boolean {
    const request = this.awaiting.get(job);
    if (request === undefined) return false;
    this.awaiting.delete(job);
    this.service.union.quota?.ended(job);
    if (isFull(result) && this.mayHaveRoom(request) && this.mayTryAgain(request)) this.handleOwn(request);
    else if (result < 0) this.answer(request, result);
    else this.answerCount(request, result);
    this.handleKept();
    return true;
  }

  private answerCount(request: Request, count: number): void {
    const { reply } = this.service;
    reply.begin();
    if (request.opcode !== FALLOCATE) reply.written(count);
    this.send(reply.finish(request.uniqueLow, request.uniqueHigh));
  }

  /** Answers a request with an error, now. Must not be called while an answer is being built. */
  private answer(request: Request, error: number): void {
    this.statistics.error(request.opcode);
    this.send(this.service.reply.fail(this.toldAs(error), request.uniqueLow, request.uniqueHigh));
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
