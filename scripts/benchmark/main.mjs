/** The benchmark: options, rounds, tables. Run by ./scripts/bench, in mount and process namespaces of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeDrivers, run, usualDrivers } from "./drivers.mjs";
import { inspect, messagesBetween, settle } from "./inside.mjs";
import { makeArchive, makeLayers } from "./layers.mjs";
import { Place } from "./place.mjs";
import { undisturbed } from "./quiet.mjs";
import { insideTable, machine, messageTable, speedTable, verdicts } from "./report.mjs";
import { workloads as allWorkloads, archiveFiles } from "./workloads.mjs";

const inspection = "inside";

const help = `./scripts/bench [options]
Compares a native directory, kernel overlayfs, fuse-overlayfs (if installed) and cowfs. Each round runs each workload on
each driver in turn, freshly mounted; medians count.

  --only NAME,…      these workloads only; "${inspection}" is the part on the driver's memory and time per request
  --drivers NAME,…   these drivers: native, overlay, fuse-overlayfs, cowfs, cowfs-passthrough (default: all but the last)
  --rounds N         rounds (default 5; those of the bar, marked *, count; the others run in three of five)
  --dir DIR          where the layers are made, on a real disk (default /var/tmp)
  --json FILE        write every measurement
workloads: ${allWorkloads.map(({ name }) => name).join(", ")}`;

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    drivers: { type: "string" },
    rounds: { type: "string", default: "5" },
    dir: { type: "string", default: "/var/tmp" },
    json: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});

function chosen(list, items, extra = []) {
  if (list === undefined) return items;
  const names = list.split(",");
  const unknown = names.filter((name) => !extra.includes(name) && !items.some((item) => item.name === name));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(", ")}`);
  return items.filter(({ name }) => names.includes(name));
}

const started = Date.now();
function say(text) {
  process.stderr.write(`[${String(Math.round((Date.now() - started) / 1000)).padStart(3)} s] ${text}\n`);
}

/** One measurement: milliseconds. With `messages`, also counts what the driver was asked meanwhile. */
function measure(workload, place, messages) {
  const { driver } = place;
  driver.clear();
  place.mount();
  workload.prepare?.(place);
  if (!workload.prepare) run("sync", []);
  const counting = driver.name === "cowfs" && messages !== undefined && workload.name !== "mount";
  if (counting) settle(driver);
  const before = counting ? driver.status() : undefined;
  const elapsed = workload.measure(place);
  if (counting) {
    settle(driver);
    messages[workload.name] = messagesBetween(before, driver.status());
  }
  if (driver.name === "native") workload.clean?.(place);
  driver.clear();
  return elapsed;
}

async function main() {
  if (options.help) {
    console.log(help);
    return;
  }
  const where = machine();
  const rounds = Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds: a number above 0");
  const workloads = chosen(options.only, allWorkloads, [inspection]);
  const withInside = options.only === undefined || options.only.split(",").includes(inspection);
  mkdirSync(options.dir, { recursive: true });
  const base = mkdtempSync(join(options.dir, "cowfs-bench-"));
  const cleanUp = () => rmSync(base, { recursive: true, force: true });
  let drivers = [];
  try {
    const { layers, native, files } = makeLayers(base, say);
    const archive = join(base, "archive.tar");
    makeArchive(archive, native, files, archiveFiles);
    const list = join(base, "files.list");
    writeFileSync(list, files.join("\n"));
    run("sync", []);
    drivers = chosen(options.drivers ?? usualDrivers, makeDrivers(base, native)).filter((driver) => driver.available());
    const results = {};
    const messages = {};
    const fileCounts = {};
    for (let round = 0; round < rounds; round++) {
      for (const workload of workloads) {
        if (!workload.bar && round % 2 === 1) continue;
        say(`round ${round + 1} of ${rounds}: ${workload.name}`);
        for (let k = 0; k < drivers.length; k++) {
          // Each round starts with another driver: none always comes after the same one.
          const driver = drivers[(k + round) % drivers.length];
          if (workload.skip?.includes(driver.name)) continue;
          const place = new Place(driver, { layers, archive, list, files });
          fileCounts[workload.name] = workload.files?.(place);
          const elapsed = undisturbed(() => measure(workload, place, round === 0 ? messages : undefined), say);
          results[workload.name] ??= {};
          results[workload.name][driver.name] ??= [];
          results[workload.name][driver.name].push(elapsed);
        }
      }
    }
    const inside = withInside ? await inspect(base, drivers, say) : undefined;
    say("done");
    const parts = [where];
    if (workloads.length > 0) parts.push(speedTable(workloads, drivers, results));
    if (Object.keys(messages).length > 0) parts.push(messageTable(workloads, messages, fileCounts));
    if (inside !== undefined) parts.push(insideTable(inside));
    parts.push(verdicts(workloads, results, inside));
    console.log(parts.filter(Boolean).join("\n\n"));
    if (options.json !== undefined) {
      const all = { machine: where, date: new Date().toISOString(), rounds, results, messages, fileCounts, inside };
      writeFileSync(options.json, `${JSON.stringify(all, null, 1)}\n`);
    }
  } finally {
    for (const driver of drivers) {
      try {
        driver.unmount();
      } catch (error) {
        say(String(error));
      }
    }
    cleanUp();
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    // The layers stay: a mount may still use them; the namespace's end takes the mounts and the drivers away.
    process.exit(130);
  });
}

main().catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
