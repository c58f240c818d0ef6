import { EAGAIN, EIO, errnoName, ignore } from "../errno.js";
import { native } from "../native/index.js";
import { Reply, validity } from "../protocol/reply.js";
import { Request } from "../protocol/request.js";
import { shown } from "../text.js";
import { finishCopy } from "../union/copy-file.js";
import { MountError } from "../union/mount-error.js";
import { openUnion } from "../union/open.js";
import { noChange } from "../union/ops/setattr.js";
import { isInside } from "../union/paths.js";
import { defaultWork } from "../union/places.js";
import type { Union } from "../union/union.js";
import { type Log, type MountConfig, readOnlyLowerPassthrough } from "./config.js";
import { ReplySink } from "./dir-sink.js";
import { Dispatcher, setxattrExtended } from "./dispatch.js";
import { Forgets } from "./forgets.js";
import { IdlePoll } from "./idle-poll.js";
import { answerInit, maxWrite } from "./init.js";
import { endSignals, unionOptions } from "./lifecycle.js";
import { Listings } from "./listings.js";
import { Loop } from "./loop.js";
import { abandon, type Mounted, mount, raiseReadAhead, unmount } from "./mount.js";
import { ChannelNotifier } from "./notify.js";
import { Opens } from "./opens.js";
import { ChannelBackings, stackDepth, whyNoPassthrough } from "./passthrough.js";
import type { Agreement, Service } from "./service.js";
import { Settler } from "./settler.js";
import { openStatePlaces, removeOldStates, removeState, type StatePlace, writeState } from "./state.js";
import { checkStrictly } from "./strict.js";

/** Room for the headers and names that come with the data of a request. */
const requestRoom = 16 << 10;
/** How long open files may keep a mount going that was asked to end, in milliseconds. */
const grace = 10_000;
/** Milliseconds until what can wait is done: the first requests shall not wait for it. */
const tidies = 300;
/** The kernel has INIT ready when mount(2) returns; this many microseconds are for a very slow machine. */
const initPatience = 1_000_000;

/**
 * Bytes of a file that is copied up at once; a larger one becomes a job, so that it delays nobody else, and so does each that waits for
 * the disk (fsync).
 */
const inlineCopyLimit = 1 << 20;

const procfs = "/proc";

/**
 * Mounts a union and serves it until it is unmounted, by whomever, or the process is told to end (SIGTERM, SIGINT, SIGHUP;
 * a second one does not wait for open files). `onReady` is called once the mount answers. Resolves to the exit code: 0
 * after an unmount, 1 if the channel failed. Throws MountError, with nothing left mounted, if it cannot start.
 */
export async function runSession(asked: MountConfig, log: Log, onReady: () => void): Promise<number> {
  const { mountpoint, upper, work } = asked;
  if (isInside(mountpoint, procfs)) {
    const why = "the driver itself looks there, and would wait for itself";
    throw new MountError(`${shown(mountpoint)}: ${procfs} cannot be covered: ${why}: mount elsewhere`, mountpoint);
  }
  let config = upper === undefined || work !== undefined ? asked : { ...asked, work: defaultWork(upper) };
  // The kernel asks whoever writes; the limit of whoever mounted is nobody else's, nor for copies of files that are there.
  const lifted = native.liftSizeLimit();
  if (lifted < 0) log("warn", `the limit of the size of files stays as it is: ${errnoName(lifted)}`);
  if (config.transport === "fuse-native") {
    const { runFuseNative } = await import("./fuse-native.js");
    return runFuseNative(config, log, onReady);
  }
  const limit = native.raiseFileLimit();
  if (limit < 0) log("warn", `the limit of open files stays as it is: ${errnoName(limit)}`);
  // Modes come from the callers, with their umasks.
  const umask = native.umask(0);
  const union = openUnion({
    ...unionOptions(config, log),
    umask,
    inlineCopyLimit,
    waitsInline: false,
    // What the kernel writes and syncs by itself, it does not tell.
    lazy: !config.syncsCopies && config.io !== "passthrough",
  });
  // From here on a signal must not end the process, which would leave a mount that nobody serves: the session will see it.
  for (const signal of endSignals) process.on(signal, later);
  // What the kernel writes by itself, nobody counts.
  if (union.quota !== null && config.io === "auto") config = { ...config, io: "cached" };
  // What lies below the mountpoint by name asks this process for it once it is mounted: whatever is needed later is opened, or asked for, now.
  const idlePoll = new IdlePoll(config.idlePoll ?? "auto", log);
  const statePlaces = openStatePlaces(mountpoint, log);
  readTimeZone();
  // Makes the threads on which `unmount` runs: Node aborts where it cannot make them, and would leave a dead mount later.
  const prepared = native.umountAside("", 0, () => {});
  if (prepared < 0) log("warn", `no thread can unmount: ${errnoName(prepared)}`);
  let mounted: Mounted;
  try {
    if (config.strict === true) checkStrictly(union);
    mounted = mount(config, log);
  } catch (error) {
    idlePoll.stop();
    union.close();
    throw error;
  }
  let session: Session;
  try {
    session = new Session(config, log, union, mounted, idlePoll, statePlaces);
  } catch (error) {
    abandon(config.mountpoint, mounted);
    idlePoll.stop();
    union.close();
    throw error;
  }
  return session.serve(onReady);
}

function later(): void {}

/** V8 reads /etc/localtime at the first date that it writes out. */
function readTimeZone(): void {
  new Date().toISOString();
}

/** A mounted union with everything that serves it. */
class Session {
  private readonly dispatcher: Dispatcher;
  private readonly loop: Loop;
  private readonly opens: Opens;
  private statePath: string | undefined;
  private finish: (code: number) => void = () => {};
  private ended = false;
  private stopping = false;
  private graceTimer: NodeJS.Timeout | undefined;
  private readonly settler: Settler;

  /** Agrees on the protocol; throws MountError if that fails. */
  constructor(
    private readonly config: MountConfig,
    private readonly log: Log,
    private readonly union: Union,
    private readonly mounted: Mounted,
    private readonly idlePoll: IdlePoll,
    private readonly statePlaces: readonly StatePlace[],
  ) {
    const request = new Request(maxWrite + requestRoom);
    const reply = new Reply(maxWrite, validity(config.timeout));
    const agreement = this.handshake(request, reply);
    const notifier = new ChannelNotifier(mounted.channel);
    if (agreement.io !== "cached") union.openFiles.attach(new ChannelBackings(mounted.channel, notifier, log));
    const least = config.lowerPassthrough ?? (union.readOnly ? readOnlyLowerPassthrough : "off");
    if (agreement.io === "auto" && least !== "off") union.openFiles.lowerLeast = least;
    this.opens = new Opens(agreement.io, union.openFiles, notifier);
    const listings = new Listings(union);
    const service: Service = {
      union,
      channel: mounted.channel,
      agreement,
      request,
      reply,
      cred: { uid: 0, gid: 0 },
      setAttr: noChange(),
      sink: new ReplySink(reply, union),
      listings,
      forgets: new Forgets(union, listings),
      notifier,
      opens: this.opens,
      log,
      awaits: (job) => this.dispatcher.awaits(job),
      interrupted: (low, high) => this.dispatcher.parking.interrupt(low, high),
    };
    this.settler = new Settler(union);
    this.dispatcher = new Dispatcher(service, config.debug);
    this.loop = new Loop(service, this.dispatcher, config.spinMicroseconds, idlePoll, (result) =>
      this.channelEnded(result),
    );
  }

  private handshake(request: Request, reply: Reply): Agreement {
    const { mountpoint } = this.config;
    const { channel } = this.mounted;
    const refuse = (why: string) => new MountError(`${shown(mountpoint)}: ${why}`, mountpoint);
    let io = this.config.io;
    const depth = io === "cached" ? 0 : stackDepth(this.union);
    // Whoever did not ask for it is to be able to mount an overlayfs on top.
    if (io === "auto" && depth > 1) io = "cached";
    for (;;) {
      const received = native.receive(channel, request.bytes, initPatience);
      if (received === -EAGAIN) continue;
      if (received < 0) throw refuse(`the kernel sends no INIT: ${errnoName(received)}`);
      const answer = answerInit(request, reply, received, this.config.defaultPermissions, io, depth);
      if (typeof answer === "string") throw refuse(answer);
      const sent = native.reply(channel, reply.bytes, answer.length);
      if (sent < 0) throw refuse(`INIT cannot be answered: ${errnoName(sent)}`);
      if (answer.out === null) continue;
      const { minor, flags, flags2 } = answer.out;
      this.log("debug", `FUSE 7.${minor} agreed`, { flags: `0x${(flags >>> 0).toString(16)}` });
      const missing = io === "cached" ? undefined : whyNoPassthrough(channel, flags2);
      if (missing !== undefined && io === "passthrough") throw refuse(`${missing}: use --io cached`);
      if (missing !== undefined) {
        io = "cached";
        this.log("debug", `files are cached: ${missing}`);
      }
      return { minor, setxattrExtended: setxattrExtended(flags), maxWrite, io };
    }
  }

  serve(onReady: () => void): Promise<number> {
    return new Promise((resolve, reject) => {
      this.finish = resolve;
      try {
        this.start();
        onReady();
        setTimeout(() => this.tidy(), tidies).unref();
      } catch (error) {
        this.end(1);
        reject(error);
      }
    });
  }

  /** What can wait until the mount has answered. */
  private tidy(): void {
    try {
      if (this.statePath !== undefined) removeOldStates(this.statePath, this.mounted.minor);
    } catch (error) {
      this.log("debug", "old state files stay", { error: String(error) });
    }
  }

  private start(): void {
    // They wait for disks far more than they compute, and a few big copies must not keep the others from reading.
    const threads = Math.min(Math.max(16, native.availableCpus()), 256);
    const onDone = (id: number, result: number): void => {
      if (!this.dispatcher.answerAwaiting(id, result)) this.dispatcher.jobEnded(id, this.finishCopy(id, result));
    };
    const jobs = native.jobsStart(threads, onDone, this.union.descriptors.limit);
    if (jobs < 0) throw new MountError(`native threads cannot be started: ${errnoName(jobs)}`);
    this.settler.start();
    const polling = this.loop.start();
    if (polling < 0) throw new MountError(`the channel cannot be watched: ${errnoName(polling)}`);
    raiseReadAhead(this.mounted, this.log);
    const quota = this.config.size === undefined ? undefined : this.union.quota === null ? "project" : "counted";
    const config = { ...this.config, io: this.opens.io };
    this.statePath = writeState(config, this.mounted.minor, this.log, this.statePlaces, quota);
    for (const signal of endSignals) process.on(signal, this.onEndSignal).off(signal, later);
    process.on("SIGUSR1", this.onStatus);
    process.on("uncaughtException", this.onException);
    process.on("unhandledRejection", this.onException);
  }

  /** What waits for a copy is answered whatever happens to it. */
  private finishCopy(id: number, result: number): number {
    try {
      return finishCopy(this.union, id, result);
    } catch (error) {
      this.onException(error);
      return -EIO;
    }
  }

  /** The mount lives longer than any mistake in the driver. */
  private readonly onException = (error: unknown): void => {
    this.log("error", "unexpected exception", { stack: error instanceof Error ? error.stack : String(error) });
  };

  private readonly onStatus = (): void => {
    this.log("info", "status", this.status());
  };

  private readonly onEndSignal = (signal: NodeJS.Signals): void => {
    if (this.stopping) {
      this.log("warn", `${signal} again: open files are cut off, but for what the kernel reads and writes by itself`);
      this.giveUp();
      return;
    }
    this.stopping = true;
    this.log("info", `${signal}: unmounting`);
    this.graceTimer = setTimeout(() => {
      this.log("warn", `still in use after ${grace / 1000} s: open files are cut off`);
      this.giveUp();
    }, grace);
    unmount(this.config.mountpoint, this.mounted, (result) => {
      if (result === 1) this.log("info", "the mount is in use: detached, waiting for its open files");
      else if (result < 0 && !this.ended) this.log("warn", `cannot unmount: ${errnoName(result)}`);
    });
  };

  /** For status reports. */
  private status(): object {
    const { statistics, parking } = this.dispatcher;
    return {
      mountpoint: this.config.mountpoint,
      requests: statistics.report(),
      malformed: statistics.malformed,
      exceptions: statistics.exceptions,
      parked: parking.count,
      spinMicroseconds: Math.round(this.loop.spin.microseconds),
      idlePoll: this.idlePoll.state,
      io: this.opens.io,
      opensAreMessages: !this.opens.silent,
      residentBytes: process.memoryUsage.rss(),
      union: this.union.counters(),
    };
  }

  /** The channel says that it is over: 0 after an unmount, -errno otherwise. */
  private channelEnded(result: number): void {
    if (result < 0) this.log("error", `the channel failed: ${errnoName(result)}`);
    this.end(result < 0 ? 1 : 0);
  }

  private giveUp(): void {
    this.end(0);
  }

  /** Takes everything down, in the order in which nothing is missed any more. */
  private end(code: number): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.graceTimer);
    for (const signal of endSignals) process.off(signal, this.onEndSignal);
    process.off("SIGUSR1", this.onStatus);
    this.settler.stop();
    this.idlePoll.stop();
    ignore(this.loop.stop(), "the channel is closed next");
    ignore(native.jobsStop(), "answers of the last jobs have no one to go to");
    this.dispatcher.parking.clear();
    abandon(this.config.mountpoint, this.mounted);
    try {
      this.union.close();
    } catch (error) {
      this.onException(error);
      code = 1;
    }
    if (this.statePath !== undefined) removeState(this.statePath, this.log);
    process.off("uncaughtException", this.onException);
    process.off("unhandledRejection", this.onException);
    this.finish(code);
  }
}
