/** From measurements to tables and verdicts. */
import { cpus, loadavg, release, totalmem } from "node:os";
import { verdict } from "./lines.mjs";
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

const meanBar = 1.3;

/** Whether one driver meets the bars of the yardstick: the mean, and no workload slower than fuse-overlayfs. */
function yardstickVerdict(workloads, results, driver) {
  const lines = [];
  const ratios = tableRatios(workloads, results, driver);
  if (ratios.length > 0) {
    const mean = geometricMean(ratios);
    const bar = `(bar: ${meanBar}, over ${ratios.length} workloads)`;
    lines.push(verdict(mean <= meanBar, `${driver} takes ${mean.toFixed(2)} times as long as kernel overlayfs ${bar}`));
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
        ? verdict(true, `${driver} is slower than ${peer} on none of ${judged.length} workloads`)
        : verdict(false, `${driver} is slower than ${peer} on ${list}: ${slower.length} of ${judged.length}`),
    );
  }
  return lines;
}

/** The lines that say whether the bars are met. */
export function verdicts(workloads, drivers, results) {
  const ours = drivers.filter(({ counts }) => counts);
  return ours.flatMap(({ name }) => yardstickVerdict(workloads, results, name)).join("\n");
}

/** One line for each failure; those of cowfs itself are what the exit code tells of. */
export function failureLines(failures) {
  return failures
    .map(({ workload, driver, message }) => `${workload} on ${driver} failed: ${message.split("\n")[0]}`)
    .join("\n");
}
