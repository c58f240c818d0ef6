import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";

/** The benchmark's modules have no types: they run as they are, and answer in JSON. */
function answer(code: string): unknown {
  const args = ["--input-type=module", "-e", `${code}\nconsole.log(JSON.stringify(answer()));`];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: "utf8" }));
}

const given = `
  import { drawChart } from "./chart.mjs";
  import { geometricMean, ratio, tableRatios } from "./ratios.mjs";
  const workloads = [{ name: "a", title: "a < b", table: true }, { name: "b", title: "b", table: true }, { name: "c", title: "c" }];
  const results = {
    a: { overlay: [9, 1, 2], cowfs: [4, 100, 1] },
    b: { overlay: [1], cowfs: [8, 8], "fuse-overlayfs": [] },
    c: { overlay: [1], cowfs: [1000] },
  };`;

it("takes ratios of medians, and their mean over the workloads of the table only", () => {
  expect(answer(`${given} const answer = () => tableRatios(workloads, results, "cowfs")`)).toEqual([2, 8]);
  expect(answer(`${given} const answer = () => geometricMean([2, 8])`)).toBeCloseTo(4);
  expect(
    answer(`${given} const answer = () => ratio(results, "b", "fuse-overlayfs", "overlay") ?? "not measured"`),
  ).toBe("not measured");
});

it("draws a bar for each measured driver and workload of the table, and one for the mean", () => {
  const drivers = `[{ name: "overlay" }, { name: "fuse-overlayfs" }, { name: "cowfs" }]`;
  const chart = String(answer(`${given} const answer = () => drawChart(workloads, ${drivers}, results)`));
  expect(chart).toContain("a &lt; b");
  // The background, two marks of the legend, and three bars of cowfs.
  expect(chart.match(/<rect /g)).toHaveLength(6);
  expect(chart).not.toMatch(/NaN|Infinity|undefined/);
});
