/** Figures made of measurements. */

/** What the yardstick's figures are relative to. */
export const yardstick = "overlay";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** The median of a driver at a workload in milliseconds; undefined where it was not measured. */
export function middle(results, workload, driver) {
  const times = results[workload]?.[driver];
  return times === undefined || times.length === 0 ? undefined : median(times);
}

/** How many times as long as another driver one takes for a workload; undefined where one of them was not measured. */
export function ratio(results, workload, driver, other) {
  const mine = middle(results, workload, driver);
  const theirs = middle(results, workload, other);
  return mine === undefined || theirs === undefined ? undefined : mine / theirs;
}

/** The ratios of a driver to kernel overlayfs, of those workloads of the yardstick that have one. */
export function tableRatios(workloads, results, driver) {
  const marked = workloads.filter(({ table }) => table);
  return marked.map(({ name }) => ratio(results, name, driver, yardstick)).filter((value) => value !== undefined);
}
