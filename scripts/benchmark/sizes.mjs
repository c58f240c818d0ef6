/** How big things are: those of the yardstick, or smaller ones for a quick look. */

const full = {
  /** Files of the flat directory `small`. */
  flat: 5000,
  /** Files of trees made for one workload each. */
  renamed: 2400,
  modes: 2000,
  gone: 600,
  /** Files that are read cold, and warm. */
  readCold: 8000,
  readWarm: 2000,
  /** Files looked up by the workloads that do not take all of them. */
  lookups: 10_000,
  archive: 1500,
  units: 60,
  commits: 300,
  bigMiB: 256,
  /** Accesses at random, of 4 KiB, in a file of 64 MiB. */
  random: 8000,
  /** Files of a tree that is walked for its memory, and nodes known while a million names are looked up. */
  treeFiles: 100_000,
  nodes: 1_000_000,
  /** An image that is loaded. */
  imageFiles: 20_000,
  imageBytes: 500e6,
};

/** A quarter of everything. */
const quick = Object.fromEntries(Object.entries(full).map(([name, size]) => [name, Math.ceil(size / 4)]));

export function sizesFor(isQuick) {
  return isQuick ? quick : full;
}
