/** What a mount costs that nobody uses: memory when it is fresh, and CPU time. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeBigTree } from "../layers.mjs";
import { mega, verdict } from "../lines.mjs";
import { Place } from "../place.mjs";
import { undisturbed } from "../quiet.mjs";

const seconds = 10;
const files = 1000;

/** CPU time of all threads in nanoseconds. */
function cpuTime(pid) {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const [running] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
    return sum + Number(running);
  }, 0);
}

/** Memory that is the process's own part: shared pages are divided among those who share them. */
function proportionalBytes(pid) {
  const line = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  return Number(line?.[1] ?? 0) * 1024;
}

function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** By driver: bytes resident when it has just been mounted, and percent of a CPU over ten seconds after a walk. */
export function measureIdle(base, drivers, _sizes, say) {
  const tree = join(base, "idle-tree");
  makeBigTree(tree, files, "x");
  const results = {};
  for (const driver of drivers) {
    driver.clear();
    const place = new Place(driver, { layers: [tree], scratch: base });
    place.mount();
    if (driver.pid > 0) {
      say(`idle: ${driver.name}`);
      const resident = driver.residentBytes();
      const proportional = proportionalBytes(driver.pid);
      place.shell("find . -size 1 > /dev/null");
      sleep(1000);
      // When somebody drops the kernel's caches, the driver is told to forget what they held: that is no idle mount.
      const percent = undisturbed(() => {
        const before = cpuTime(driver.pid);
        sleep(seconds * 1000);
        return (cpuTime(driver.pid) - before) / (seconds * 1e7);
      }, say);
      results[driver.name] = { resident, proportional, percent };
    }
    driver.clear();
  }
  return results;
}

const residentBar = 50e6;
const percentBar = 0.5;

export function idleLines(results) {
  return Object.entries(results).flatMap(([name, { resident, proportional, percent }]) => {
    const memory = `${name}: ${mega(resident)} resident in a fresh mount, ${mega(proportional)} of them its own share`;
    const cpu = `${name}: ${percent.toFixed(3)} % of a CPU over ${seconds} s without a request`;
    if (!name.startsWith("cowfs")) return [memory, cpu];
    return [
      verdict(resident <= residentBar, `${memory} (bar: ${residentBar / 1e6} MB)`),
      verdict(percent < percentBar, `${cpu} (bar: ${percentBar})`),
    ];
  });
}
