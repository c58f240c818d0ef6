import { closeSync, fstatSync, openSync, readFileSync, writeSync } from "node:fs";
import { O_NONBLOCK, O_WRONLY } from "../native/constants.js";
import type { IdlePollOption, Log } from "./config.js";

const device = "/dev/cpu_dma_latency";
const cpuidleDriver = "/sys/devices/system/cpu/cpuidle/current_driver";
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

/** Why nothing is gained, or cannot be: "" where it is. */
function whyNot(option: IdlePollOption): string {
  if (option === "off") return "not wanted";
  if (option === "on") return "";
  try {
    const driver = readFileSync(cpuidleDriver, "latin1").trim();
    if (driver !== "haltpoll") return `idle CPUs are not halted through a hypervisor: ${cpuidleDriver} is ${driver}`;
    const cpus = countCpus(readFileSync(onlineCpus, "latin1"));
    return cpus > mostCpus ? `there are ${cpus} CPUs` : "";
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

/**
 * Each answer wakes a client, and most requests wake the driver. On a virtual machine a CPU that went idle has been given back to the
 * hypervisor: to wake it costs as much as the whole rest of a small request. So while requests keep coming the kernel is asked to let
 * idle CPUs poll (Documentation/power/pm_qos_interface.rst), and for at most twice `look` afterwards. The kernel takes the wish back when this process ends.
 */
export class IdlePoll {
  /** What a status report says: what is so, or why it cannot be. */
  state: string;
  private fd = -1;
  private held = false;
  private usable = true;
  private since = 0;
  private count = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly option: IdlePollOption,
    private readonly log: Log,
  ) {
    this.state = "not needed yet";
  }

  /** That many requests were answered since the last call. `now` in milliseconds. */
  answered(count: number, now: number): void {
    this.count += count;
    if (this.held || !this.usable) return;
    if (now - this.since > span) {
      this.since = now;
      this.count = count;
    }
    if (this.count >= least) this.hold();
  }

  private hold(): void {
    if (this.fd < 0) this.open();
    if (!this.usable || !this.write(atOnce)) return;
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
    this.held = false;
    this.count = 0;
    this.state = "released";
    this.write(whenever);
  }

  private open(): void {
    const reason = whyNot(this.option);
    if (reason !== "") {
      this.giveUp(reason);
      return;
    }
    try {
      // Not to wait for a reader, if it is a fifo.
      this.fd = openSync(device, O_WRONLY | O_NONBLOCK);
      if (!fstatSync(this.fd).isCharacterDevice()) this.giveUp(`${device} is no device`);
    } catch (error) {
      this.giveUp((error as Error).message);
    }
  }

  private write(value: Buffer): boolean {
    try {
      writeSync(this.fd, value);
      return true;
    } catch (error) {
      this.giveUp((error as Error).message);
      return false;
    }
  }

  private giveUp(reason: string): void {
    this.stop();
    this.state = reason;
    this.log("debug", `idle CPUs sleep: ${reason}`);
  }

  /** The end: nothing is held any more. */
  stop(): void {
    clearTimeout(this.timer);
    this.usable = false;
    this.held = false;
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}
