/** The benchmark: makes the layers, runs what was asked for, prints tables. Run by ./scripts/bench, in mount and process namespaces of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawChart } from "./chart.mjs";
import { makeDrivers, remarks, run } from "./drivers.mjs";
import { freshDisk } from "./fresh-disk.mjs";
import { makeArchive, makeLayers, smallFiles, spread } from "./layers.mjs";
import { chosenDrivers, chosenWorkloads, parseOptions } from "./options.mjs";
import { parts } from "./parts/index.mjs";
import { failureLines, machine, messageTable, speedTable, verdicts } from "./report.mjs";
import { runRounds } from "./rounds.mjs";
import { sizesFor } from "./sizes.mjs";
import { makeWorkloads } from "./workloads/index.mjs";

const started = Date.now();
function say(text) {
  process.stderr.write(`[${String(Math.round((Date.now() - started) / 1000)).padStart(3)} s] ${text}\n`);
}

/** Writes a list of files where clients find it. */
function writeList(path, names) {
  writeFileSync(path, names.join("\n"), "latin1");
  return path;
}

/** What all workloads have in common, made below `base`. */
function makeSetting(base, sizes) {
  const scratch = join(base, "scratch");
  mkdirSync(scratch);
  const { layers, native, files } = makeLayers(base, sizes, say);
  const archive = join(scratch, "archive.tar");
  makeArchive(archive, native, files, sizes.archive);
  const lists = {
    all: writeList(join(scratch, "all"), files),
    small: writeList(join(scratch, "small"), spread(smallFiles(native, files), sizes.readCold)),
  };
  run("sync", []);
  return { layers, native, files, archive, lists, scratch };
}

/** Runs what was asked for and prints it; `report` gets all that is written as JSON. */
async function measureAll(options, base, drivers, workloads, report) {
  const sizes = sizesFor(options.quick);
  const printed = [report.machine, ...remarks()];
  if (workloads.length > 0) {
    const setting = makeSetting(base, sizes);
    Object.assign(report, runRounds(workloads, drivers, setting, options.rounds, say));
    const { results, messages, fileCounts, failures } = report;
    printed.push(speedTable(workloads, drivers, results), messageTable(workloads, messages, fileCounts));
    printed.push(verdicts(workloads, drivers, results), failureLines(failures));
    if (failures.some((failure) => drivers.some(({ name, counts }) => counts && name === failure.driver)))
      process.exitCode = 1;
    if (options.svg !== undefined) writeFileSync(options.svg, drawChart(workloads, drivers, results));
  }
  for (const { name, run: measure, lines } of parts.filter(({ name }) => options.only.includes(name))) {
    const place = join(base, name);
    mkdirSync(place);
    report[name] = await measure(place, drivers, sizes, say, options.rounds);
    printed.push(lines(report[name]).join("\n"));
  }
  say("done");
  console.log(printed.filter(Boolean).join("\n\n"));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
}

async function main() {
  const options = parseOptions();
  const allWorkloads = makeWorkloads(sizesFor(options.quick));
  if (options.help !== undefined) {
    console.log(options.help(allWorkloads, makeDrivers("", "")));
    return;
  }
  const workloads = chosenWorkloads(options.only, allWorkloads);
  const report = {
    machine: machine(),
    date: new Date().toISOString(),
    rounds: options.rounds,
    quick: options.quick,
    fresh: options.fresh,
  };
  mkdirSync(options.dir, { recursive: true });
  const own = mkdtempSync(join(options.dir, "cowfs-bench-"));
  let drivers = [];
  let disk;
  try {
    disk = options.fresh ? freshDisk(own) : undefined;
    const base = disk?.mountpoint ?? own;
    drivers = chosenDrivers(options.drivers, makeDrivers(base, join(base, "native"))).filter((driver) =>
      driver.available(),
    );
    await measureAll(options, base, drivers, workloads, report);
  } finally {
    for (const driver of drivers) {
      try {
        driver.unmount();
      } catch (error) {
        say(String(error));
      }
    }
    disk?.remove();
    rmSync(own, { recursive: true, force: true });
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
