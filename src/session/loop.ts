import { EAGAIN, ENODEV, errnoName } from "../errno.js";
import { native } from "../native/index.js";
import type { Dispatcher } from "./dispatch.js";
import type { IdlePoll } from "./idle-poll.js";
import type { Service } from "./service.js";

/** The loop gives way to signals, timers and jobs after this many milliseconds, asked for every `clockEvery` requests. */
const turnMilliseconds = 2;
const clockEvery = 16;
/** What the channel says after an abort through sysfs, with ABORT_ERROR agreed. */
const ECONNABORTED = 103;
const spinStart = 50;
const spinLeast = 5;

/**
 * How long to wait for the next request without sleeping. A wake-up from sleep costs the client some 50 microseconds, so
 * waiting pays when the next request comes within that time, and only burns the CPU when it does not. Each sleep tells: if
 * it was so short that a longer wait would have caught the request, wait longer; otherwise half as long.
 */
export class Spin {
  microseconds: number;
  private gaveUpAt = -1;

  constructor(private readonly most: number) {
    this.microseconds = Math.min(spinStart, most);
  }

  /** Nothing came while waiting; the loop goes to sleep. `now` in milliseconds. */
  gaveUp(now: number): void {
    this.gaveUpAt = now;
  }

  /** A request woke the loop. */
  woken(now: number): void {
    if (this.gaveUpAt < 0) return;
    const needed = (now - this.gaveUpAt) * 1000 + this.microseconds;
    this.gaveUpAt = -1;
    if (needed <= this.most) this.microseconds = Math.min(this.most, needed * 1.5);
    else this.microseconds = Math.min(this.most, Math.max(spinLeast, this.microseconds / 2));
  }
}

/** Takes requests from the kernel and gives it the answers, whenever the event loop finds the channel readable. */
export class Loop {
  readonly spin: Spin;
  private readonly ended = native.jobsCounter();
  private running = false;

  /** `onEnd` is called once, with 0 when the mount is gone and -errno when the channel failed otherwise. */
  constructor(
    private readonly service: Service,
    private readonly dispatcher: Dispatcher,
    spinMicroseconds: number,
    private readonly idlePoll: IdlePoll,
    private readonly onEnd: (result: number) => void,
  ) {
    this.spin = new Spin(spinMicroseconds);
  }

  /** Starts watching the channel: 0 or -errno. */
  start(): number {
    const started = native.pollStart(this.service.channel, () => this.drain());
    this.running = started >= 0;
    return started;
  }

  /** Stops watching; `onEnd` is not called for that. */
  stop(): number {
    if (!this.running) return 0;
    this.running = false;
    return native.pollStop();
  }

  /** Handles requests as long as they keep coming, but no longer than a turn. */
  private drain(): void {
    if (!this.running) return;
    const { channel, reply } = this.service;
    const { bytes } = this.service.request;
    const ended = this.ended;
    const dispatcher = this.dispatcher;
    const { forgets } = this.service;
    const spin = this.spin;
    const started = native.now();
    spin.woken(started);
    let received = native.receive(channel, bytes, 0);
    // What was put off is nobody's request.
    let requests = 0;
    for (let handled = 1; received >= 0 || (received === -EAGAIN && forgets.wait); handled++) {
      let length = 0;
      if (received >= 0) {
        requests++;
        length = dispatcher.dispatch(received);
      }
      const jobs = (ended[0] as number) > 0 || dispatcher.hasKept;
      const turnEnds = handled % clockEvery === 0 && native.now() - started > turnMilliseconds;
      // The end of the turn, the requests that waited for a job, and forgetting need the answer out of the way first.
      if (jobs || turnEnds || forgets.wait) {
        if (length > 0) dispatcher.send(length);
        dispatcher.forgetSome();
        if (jobs) {
          dispatcher.handleKept();
          this.pollJobs();
        } else if (turnEnds) {
          this.idlePoll.received(requests, native.now());
          // The channel calls when there are requests, but not for what was put off.
          if (forgets.wait) setImmediate(() => this.drain());
          return;
        }
        received = native.receive(channel, bytes, 0);
      } else if (length > 0) {
        received = native.replyAndReceive(channel, reply.bytes, length, bytes, spin.microseconds);
      } else {
        // Mostly a thread answers soon: who read a file that is not in memory sends the next request as early as any other.
        received = native.receive(channel, bytes, spin.microseconds);
      }
    }
    dispatcher.checkSent(native.replyError());
    if (received !== -EAGAIN) {
      this.end(received);
      return;
    }
    const now = native.now();
    spin.gaveUp(now);
    this.idlePoll.received(requests, now);
  }

  private pollJobs(): void {
    const polled = native.jobsPoll();
    if (polled < 0) this.service.log("error", `ended jobs cannot be collected: ${errnoName(polled)}`);
  }

  private end(result: number): void {
    this.running = false;
    const stopped = native.pollStop();
    if (stopped < 0) this.service.log("warn", `the channel is still watched: ${errnoName(stopped)}`);
    // ECONNABORTED: somebody wrote to /sys/fs/fuse/connections/N/abort.
    if (result === -ECONNABORTED)
      this.service.log("warn", "the connection was aborted through /sys/fs/fuse/connections");
    this.onEnd(result === -ENODEV ? 0 : result);
  }
}
