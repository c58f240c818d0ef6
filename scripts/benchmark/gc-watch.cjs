/**
 * Loaded into a driver by NODE_OPTIONS=--require: keeps count of garbage collections and of how late the event loop was.
 * At SIGUSR2 it writes what it saw since the last one, as a line of JSON, into the file that COWFS_BENCH_WATCH names.
 */
const { appendFileSync } = require("node:fs");
const { PerformanceObserver, monitorEventLoopDelay } = require("node:perf_hooks");

const file = process.env.COWFS_BENCH_WATCH;
const resolution = 10;
const delay = monitorEventLoopDelay({ resolution });
let collections = 0;
let total = 0;
let longest = 0;

const observer = new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) {
    collections++;
    total += duration;
    longest = Math.max(longest, duration);
  }
});
observer.observe({ entryTypes: ["gc"] });
delay.enable();

process.on("SIGUSR2", () => {
  const latest = Math.max(0, delay.max / 1e6 - resolution);
  appendFileSync(file, `${JSON.stringify({ collections, total, longest, latest })}\n`);
  collections = 0;
  total = 0;
  longest = 0;
  delay.reset();
});
