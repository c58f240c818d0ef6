/** From measurements to tables and verdicts. */
import { cpus, loadavg, release, totalmem } from "node:os";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function machine() {
  return `${cpus().length} × ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}, load ${loadavg()[1].toFixed(1)} over the last 5 minutes`;
}

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "))
    .join("\n");
}

function time(milliseconds) {
  if (milliseconds === undefined) return "-";
  return milliseconds < 10
    ? milliseconds.toFixed(2)
    : milliseconds < 100
      ? milliseconds.toFixed(1)
      : milliseconds.toFixed(0);
}

function ratio(a, b) {
  return a === undefined || b === undefined ? "-" : (a / b).toFixed(2);
}

/** `results`: by workload and driver, a list of milliseconds. */
export function speedTable(workloads, drivers, results) {
  const names = drivers.map(({ name }) => name);
  const peers = names.includes("cowfs")
    ? ["native", "overlay", "fuse-overlayfs"].filter((name) => names.includes(name))
    : [];
  const rows = [["workload (medians, ms)", ...names, ...peers.map((name) => `cowfs/${name}`)]];
  for (const { name, title, bar } of workloads) {
    const middle = (driver) => (results[name]?.[driver]?.length > 0 ? median(results[name][driver]) : undefined);
    rows.push([
      `${bar ? "* " : "  "}${name}: ${title}`,
      ...names.map((driver) => time(middle(driver))),
      ...peers.map((peer) => ratio(middle("cowfs"), middle(peer))),
    ]);
  }
  return table(rows);
}

/** Messages that the kernel sent for a workload, all and by file. */
export function messageTable(workloads, messages, fileCounts) {
  const rows = [["messages to cowfs", "all", "per file", ""]];
  for (const { name } of workloads) {
    if (messages[name] === undefined) continue;
    const counts = Object.entries(messages[name]).sort(([, a], [, b]) => b - a);
    const all = counts.reduce((sum, [, count]) => sum + count, 0);
    const files = fileCounts[name];
    const kinds = counts
      .slice(0, 8)
      .map(([opcode, count]) => `${opcode} ${files ? (count / files).toFixed(2) : count}`);
    rows.push([`  ${name}`, String(all), files ? (all / files).toFixed(2) : "-", kinds.join(", ")]);
  }
  const left = rows.map((row) => row.slice(0, 3));
  const lines = table(left).split("\n");
  return lines.map((line, i) => `${line}  ${rows[i][3]}`.trimEnd()).join("\n");
}

function mega(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

const latencyBar = 20;
const memoryBar = 90e6;

export function insideTable(inside) {
  const lines = [];
  for (const [name, { memory, files, openFiles }] of Object.entries(inside)) {
    const perFile = (memory.walkedTwice - memory.start) / files;
    const perOpen = (memory.open - memory.walkedTwice) / openFiles;
    lines.push(
      `${name}: resident ${mega(memory.start)} at first, ${mega(memory.walked)} after find -ls over ${files} files, ${mega(memory.walkedTwice)} after ` +
        `the second, ${mega(memory.open)} with ${openFiles} of them open; ${perFile.toFixed(0)} bytes a known file, ${perOpen.toFixed(0)} an open one`,
    );
  }
  for (const [opcode, { requests, p50, p99 }] of Object.entries(inside.cowfs?.latency ?? {})) {
    if (requests > 1000) lines.push(`cowfs: ${opcode} handled in ${p50} µs p50, ${p99} µs p99 (${requests} requests)`);
  }
  return lines.join("\n");
}

/** The lines that say whether the bars are met. */
export function verdicts(workloads, results, inside) {
  const lines = [];
  const judged = workloads.filter(({ name, bar }) => bar && results[name]?.cowfs && results[name]?.["fuse-overlayfs"]);
  if (judged.length > 0) {
    const missed = judged.filter(({ name }) => median(results[name].cowfs) >= median(results[name]["fuse-overlayfs"]));
    const list = missed.map(({ name }) => name).join(", ");
    lines.push(
      missed.length === 0
        ? `MET: cowfs is faster than fuse-overlayfs on each of the ${judged.length} workloads marked *`
        : `MISSED: cowfs is not faster than fuse-overlayfs on ${list} (${missed.length} of ${judged.length} marked *)`,
    );
  }
  if (inside?.cowfs !== undefined) {
    const { latency, memory, files } = inside.cowfs;
    const p50 = latency.LOOKUP?.p50 ?? Number.NaN;
    lines.push(`${p50 < latencyBar ? "MET" : "MISSED"}: a LOOKUP is handled in ${p50} µs p50 (bar: ${latencyBar})`);
    const met = memory.walkedTwice < memoryBar ? "MET" : "MISSED";
    const walked = (memory.walkedTwice / 1e6).toFixed(1);
    lines.push(`${met}: ${walked} MB resident after walking ${files} files (bar: ${memoryBar / 1e6})`);
  }
  return lines.join("\n");
}
