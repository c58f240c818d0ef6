/** The command line of the benchmark. */
import { parseArgs } from "node:util";
import { usualDrivers } from "./drivers.mjs";
import { parts } from "./parts/index.mjs";

/** What `--only` takes for several workloads at once. */
const groups = [
  { name: "table", title: "the 24 workloads of the yardstick, marked * in the table" },
  { name: "others", title: "the other workloads" },
];

function help(workloads, drivers) {
  const names = (marked) => workloads.filter(({ table }) => (table ?? false) === marked).map(({ name }) => name);
  return `./scripts/bench [options]
Compares ways to see layers merged: each round runs each workload on each driver in turn, freshly mounted; medians count,
relative to kernel overlayfs with its default options. Rivals are measured if they are on PATH.

  --only NAME,…      these workloads, or parts (default: table):
${[...groups, ...parts].map(({ name, title }) => `                       ${name.padEnd(7)} ${title}`).join("\n")}
  --drivers NAME,…   of ${drivers.map(({ name }) => name).join(", ")}
                     (default: ${usualDrivers})
  --rounds N         rounds (default 3)
  --quick            one round, everything a quarter as big
  --dir DIR          where the layers are made, on a real disk (default /var/tmp)
  --fresh            the layers on a new ext4 in a file of that directory
  --json FILE        write every measurement
  --svg FILE         draw the ratios to kernel overlayfs
table: ${names(true).join(", ")}
others: ${names(false).join(", ")}`;
}

/** The options as given, with rounds a number. Throws an Error that says what is wrong. */
export function parseOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: "table" },
      drivers: { type: "string", default: usualDrivers },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      dir: { type: "string", default: "/var/tmp" },
      fresh: { type: "boolean", default: false },
      json: { type: "string" },
      svg: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds: a number above 0");
  return {
    ...values,
    rounds,
    only: values.only.split(","),
    drivers: values.drivers.split(","),
    help: values.help ? help : undefined,
  };
}

function refuseUnknown(names, known) {
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(", ")}; there are ${known.join(", ")}`);
}

export function chosenWorkloads(only, workloads) {
  refuseUnknown(only, [...[...groups, ...parts].map(({ name }) => name), ...workloads.map(({ name }) => name)]);
  return workloads.filter(({ name, table }) => only.includes(table ? "table" : "others") || only.includes(name));
}

export function chosenDrivers(names, drivers) {
  refuseUnknown(
    names,
    drivers.map(({ name }) => name),
  );
  return drivers.filter(({ name }) => names.includes(name));
}
