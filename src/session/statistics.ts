import { opcodeLimit, opcodeName } from "../protocol/opcodes.js";

/** Every so many requests one is timed: a clock costs more than some requests do. */
const sampling = 16;
/** Latency buckets: four to each doubling, from a quarter of a microsecond to two seconds. */
const buckets = 96;

function bucketOf(microseconds: number): number {
  return Math.max(0, Math.min(buckets - 1, Math.round(4 * (Math.log2(microseconds) + 2))));
}

function bucketMiddle(bucket: number): number {
  return 2 ** (bucket / 4 - 2);
}

/** What a status report says of an opcode; times in microseconds, of the sampled requests. */
export interface OpcodeReport {
  readonly requests: number;
  readonly errors: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Counts of requests and errors for each opcode, and the time the driver took for a sample of them. */
export class Statistics {
  private readonly counts = new Float64Array(opcodeLimit);
  private readonly errors = new Float64Array(opcodeLimit);
  private readonly latencies = new Uint32Array(opcodeLimit * buckets);
  private readonly longest = new Float64Array(opcodeLimit);
  private untilSample = sampling;
  /** Requests that could not be understood. */
  malformed = 0;
  /** Exceptions thrown by handlers. */
  exceptions = 0;

  /** Counts a request; whether this one is to be timed. */
  count(opcode: number): boolean {
    if (opcode < opcodeLimit) this.counts[opcode] = (this.counts[opcode] as number) + 1;
    if (--this.untilSample > 0) return false;
    this.untilSample = sampling;
    return true;
  }

  error(opcode: number): void {
    if (opcode < opcodeLimit) this.errors[opcode] = (this.errors[opcode] as number) + 1;
  }

  /** Adds a time of a sampled request. */
  time(opcode: number, milliseconds: number): void {
    if (opcode >= opcodeLimit) return;
    const at = opcode * buckets + bucketOf(milliseconds * 1000);
    this.latencies[at] = (this.latencies[at] as number) + 1;
    if (milliseconds > (this.longest[opcode] as number)) this.longest[opcode] = milliseconds;
  }

  /** Microseconds under which the fraction `part` of the samples of an opcode lies; 0 without samples. */
  quantile(opcode: number, part: number): number {
    const row = this.latencies.subarray(opcode * buckets, (opcode + 1) * buckets);
    const total = row.reduce((sum, count) => sum + count, 0);
    let left = Math.ceil(total * part);
    for (let bucket = 0; bucket < buckets && total > 0; bucket++) {
      left -= row[bucket] as number;
      if (left <= 0) return bucketMiddle(bucket);
    }
    return 0;
  }

  /** For a status report: by opcode, what was asked, what failed, and the times in microseconds. */
  report(): Record<string, OpcodeReport> {
    const lines: Record<string, OpcodeReport> = {};
    for (let opcode = 0; opcode < opcodeLimit; opcode++) {
      const requests = this.counts[opcode] as number;
      if (requests === 0) continue;
      const quantile = (part: number) => Number(this.quantile(opcode, part).toFixed(1));
      lines[opcodeName(opcode)] = {
        requests,
        errors: this.errors[opcode] as number,
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: Number(((this.longest[opcode] as number) * 1000).toFixed(1)),
      };
    }
    return lines;
  }
}
