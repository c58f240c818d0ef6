import { readFileSync } from "node:fs";
import { errnoName, ignore } from "../errno.js";
import { S_IFCHR, S_IFMT, STATX_ALL, Stat } from "../layer/stat.js";
import { O_NONBLOCK, O_WRONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import type { IdlePollOption, Log } from "./config.js";

const device = "/dev/cpu_dma_latency";
const cpuidleDriver = "/sys/devices/system/cpu/cpuidle/current_driver";
/** For how many nanoseconds idle CPUs poll by themselves before they are halted. */
const haltPoll = "/sys/module/haltpoll/parameters/guest_halt_poll_ns";
const onlineCpus = "/sys/devices/system/cpu/online";
/** More idle CPUs than these would wait awake for two that talk to each other. */
const mostCpus = 8;

/**
 * So many requests in so many milliseconds are a stream. Each gains some 10 microseconds: with fewer, that would not be worth the CPUs that
 * wait awake.
 */
const span = 20;
const least = 30;
/** How often it is seen to whether the stream goes on, in milliseconds, and how many requests must have come meanwhile. */
const look = 5;
const leastMeanwhile = 8;

const microseconds = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};
/** PM QoS: an idle CPU polls, whatever its idle states are; and what a new descriptor asks for, which is nothing. */
const atOnce = microseconds(0);
const whenever = microseconds(2_000_000_000);

/** Why `auto` asks for nothing: "" where it was measured to gain something. */
function whyNotHere(): string {
  try {
    const [driver, polls, cpus] = [cpuidleDriver, haltPoll, onlineCpus].map((path) =>
      readFileSync(path, "latin1").trim(),
    );
    if (driver !== "haltpoll") return `idle CPUs are not halted through a hypervisor: ${cpuidleDriver} is ${driver}`;
    if (polls !== "0") return `idle CPUs poll by themselves: ${haltPoll} is ${polls}`;
    const count = countCpus(cpus ?? "");
    return count > mostCpus ? `there are ${count} CPUs` : "";
  } catch (error) {
    return (error as Error).message;
  }
}

/** How many CPUs a list of them has, `0-3,6`. It is all those of the machine that would poll, not only those this process may use. */
export function countCpus(list: string): number {
  let count = 0;
  for (const range of list.trim().split(",")) {
    const [first, last] = range.split("-").map(Number);
    count += (last ?? first ?? 0) - (first ?? 0) + 1;
  }
  return count;
}

/** The open device, or why there is none. */
function openDevice(): number | string {
  // Not to wait for a reader, if it is a fifo.
  const fd = native.openFollow(device, O_WRONLY | O_NONBLOCK);
  if (fd < 0) return `${device} cannot be opened: ${errnoName(fd)}`;
  const stat = new Stat();
  const r = native.statx(fd, "", STATX_ALL, stat.bytes);
  if (r >= 0 && (stat.mode & S_IFMT) === S_IFCHR) return fd;
  ignore(native.close(fd), "nothing was written");
  return r < 0 ? `${device}: ${errnoName(r)}` : `${device} is no device`;
}

/**
 * Each answer wakes a client, and most requests wake the driver. On a virtual machine a CPU that went idle may have been given back to the
 * hypervisor: to wake it costs as much as the whole rest of a small request. So while requests keep coming the kernel is asked to let
 * idle CPUs poll (Documentation/power/pm_qos_interface.rst), and for at most twice `look` afterwards, if the driver runs: while it is stopped, or waits in a
 * system call, they go on. The kernel takes the wish back when this process ends.
 */
export class IdlePoll {
  /** What a status report says: what is so, or why it cannot be. */
  state = "not needed yet";
  private fd = -1;
  private held = false;
  private since = 0;
  private count = 0;
  private timer: NodeJS.Timeout | undefined;

  /** Opens what it needs: to be called before the mount, which may come to lie over /dev or /sys, and would be asked for it. */
  constructor(
    option: IdlePollOption,
    private readonly log: Log,
  ) {
    const reason = option === "on" ? "" : option === "off" ? "not wanted" : whyNotHere();
    const opened = reason === "" ? openDevice() : reason;
    if (typeof opened === "number") this.fd = opened;
    else this.giveUp(opened, option === "on" ? "warn" : "debug");
  }

  /** That many requests came since the last call. `now` in milliseconds. */
  received(count: number, now: number): void {
    if (this.fd < 0) return;
    this.count += count;
    if (this.held) return;
    if (now - this.since > span) {
      this.since = now;
      this.count = count;
    }
    if (this.count >= least) this.hold();
  }

  private hold(): void {
    if (!this.write(atOnce)) return;
    this.held = true;
    this.state = "held";
    this.watch();
  }

  /** Looks again and again whether requests still come. */
  private watch(): void {
    this.count = 0;
    this.timer = setTimeout(() => {
      if (this.count >= leastMeanwhile) this.watch();
      else this.release();
    }, look);
  }

  private release(): void {
    if (!this.write(whenever)) return;
    this.held = false;
    this.count = 0;
    this.state = "released";
  }

  private write(value: Buffer): boolean {
    const r = native.pwrite(this.fd, value, 0, value.length, 0);
    if (r < 0) this.giveUp(`${device} cannot be written: ${errnoName(r)}`, "warn");
    return r >= 0;
  }

  private giveUp(reason: string, level: "debug" | "warn"): void {
    this.stop();
    this.state = reason;
    this.log(level, `idle CPUs sleep: ${reason}`);
  }

  /** The end: with the descriptor goes what was asked for. */
  stop(): void {
    clearTimeout(this.timer);
    this.held = false;
    if (this.fd >= 0) ignore(native.close(this.fd), "nothing is buffered");
    this.fd = -1;
  }
}
