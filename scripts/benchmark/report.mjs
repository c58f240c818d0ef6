/** From measurements to tables and verdicts. */
import { cpus, loadavg, release, totalmem } from "node:os";
import { geometricMean, middle, ratio, tableRatios, yardstick } from "./ratios.mjs";

export function machine() {
  return `${cpus().length} × ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}, load ${loadavg()[1].toFixed(1)} over the last 5 minutes`;
}

export function table(rows) {
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

function times(value) {
  return value === undefined ? "-" : value.toFixed(2);
}

/** Medians, and what the drivers take relative to kernel overlayfs; `results`: by workload and driver, milliseconds. */
export function speedTable(workloads, drivers, results) {
  const names = drivers.map(({ name }) => name);
  const compared = names.includes(yardstick) ? names.filter((name) => name !== yardstick) : [];
  const rows = [["workload (medians, ms)", ...names, ...compared.map((name) => `${name} ×`)]];
  for (const { name, title, table: marked } of workloads) {
    rows.push([
      `${marked ? "* " : "  "}${name}: ${title}`,
      ...names.map((driver) => time(middle(results, name, driver))),
      ...compared.map((driver) => times(ratio(results, name, driver, yardstick))),
    ]);
  }
  const ratios = compared.map((driver) => tableRatios(workloads, results, driver));
  const means = ratios.map((list) => (list.length > 0 ? geometricMean(list).toFixed(2) : "-"));
  rows.push(["geometric mean of those marked *", ...names.map(() => ""), ...means]);
  rows.push(["  of so many", ...names.map(() => ""), ...ratios.map((list) => String(list.length))]);
  return `${table(rows)}\n×: relative to kernel overlayfs with default options`;
}

/** Messages that the kernel sent for a workload, all and by file. */
export function messageTable(workloads, messages, fileCounts) {
  const rows = [["messages", "all", "per file", ""]];
  for (const { name } of workloads) {
    for (const [driver, counted] of Object.entries(messages[name] ?? {})) {
      const counts = Object.entries(counted).sort(([, a], [, b]) => b - a);
      const all = counts.reduce((sum, [, count]) => sum + count, 0);
      const files = fileCounts[name];
      const kinds = counts
        .slice(0, 8)
        .map(([opcode, count]) => `${opcode} ${files ? (count / files).toFixed(2) : count}`);
      rows.push([`  ${driver}: ${name}`, String(all), files ? (all / files).toFixed(2) : "-", kinds.join(", ")]);
    }
  }
  if (rows.length === 1) return "";
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

const meanBar = 1.3;

function word(met) {
  return met ? "MET" : "MISSED";
}

/** Whether one driver meets the bars of the yardstick: the mean, and no workload slower than fuse-overlayfs. */
function yardstickVerdict(workloads, results, driver) {
  const lines = [];
  const ratios = tableRatios(workloads, results, driver);
  if (ratios.length > 0) {
    const mean = geometricMean(ratios);
    const bar = `(bar: ${meanBar}, over ${ratios.length} workloads)`;
    lines.push(`${word(mean <= meanBar)}: ${driver} takes ${mean.toFixed(2)} times as long as kernel overlayfs ${bar}`);
  }
  const peer = "fuse-overlayfs";
  const judged = workloads.filter(
    ({ name, table: marked }) => marked && ratio(results, name, driver, peer) !== undefined,
  );
  const slower = judged.filter(({ name }) => ratio(results, name, driver, peer) > 1);
  if (judged.length > 0) {
    const list = slower.map(({ name }) => `${name} (${ratio(results, name, driver, peer).toFixed(2)})`).join(", ");
    lines.push(
      slower.length === 0
        ? `MET: ${driver} is slower than ${peer} on none of ${judged.length} workloads`
        : `MISSED: ${driver} is slower than ${peer} on ${list}: ${slower.length} of ${judged.length}`,
    );
  }
  return lines;
}

/** The lines that say whether the bars are met. */
export function verdicts(workloads, drivers, results) {
  const ours = drivers.filter(({ counts }) => counts);
  return ours.flatMap(({ name }) => yardstickVerdict(workloads, results, name)).join("\n");
}

export function insideVerdicts(inside) {
  const lines = [];
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
