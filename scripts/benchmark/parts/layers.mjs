/** What a lookup costs in a hundred layers, and in one that holds the same. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { verdict } from "../lines.mjs";
import { Place } from "../place.mjs";
import { median } from "../ratios.mjs";

const many = 100;
const directories = 50;
const filesEach = 40;
const rounds = 3;

/** Every directory is in every layer; its files are dealt out to them in turn. Returns the layers' paths. */
function makeStack(base, count) {
  const layers = Array.from({ length: count }, (_, i) => join(base, String(i)));
  for (let d = 0; d < directories; d++) {
    for (const layer of layers) mkdirSync(join(layer, `dir-${d}`), { recursive: true });
    for (let i = 0; i < filesEach; i++) {
      writeFileSync(join(layers[(d * filesEach + i) % count], `dir-${d}`, `file-${i}`), "x");
    }
  }
  return layers;
}

/** Microseconds a name, first lookups and names that are nowhere, in a fresh mount each. */
function measureStack(driver, setting, list) {
  const count = directories * filesEach;
  const once = (work) => {
    driver.clear();
    const place = new Place(driver, setting);
    place.mount();
    const elapsed = place.client(work, place.root, list, count);
    driver.clear();
    return (elapsed * 1000) / count;
  };
  // The layers' file system has read all of it before anything counts.
  once("stat");
  const medianOf = (work) => median(Array.from({ length: rounds }, () => once(work)));
  return { first: medianOf("stat"), missing: medianOf("missing") };
}

/** By driver, for one layer and for a hundred: microseconds for each first and each missing name. */
export function measureLayers(base, drivers, _sizes, say) {
  const one = makeStack(join(base, "stack-1"), 1);
  // Kernel overlayfs takes options of one page at most: a hundred paths must be short, so they are relative.
  const stack = makeStack(join(base, "stack-100"), many).map((_, i) => String(i));
  const list = join(base, "stack.list");
  const names = Array.from(
    { length: directories * filesEach },
    (_, k) => `dir-${Math.floor(k / filesEach)}/file-${k % filesEach}`,
  );
  writeFileSync(list, names.join("\n"));
  const results = {};
  const home = process.cwd();
  for (const driver of drivers.filter(({ name }) => name !== "native")) {
    say(`${many} layers: ${driver.name}`);
    const single = measureStack(driver, { layers: one, scratch: base }, list);
    process.chdir(join(base, "stack-100"));
    try {
      results[driver.name] = { one: single, many: measureStack(driver, { layers: stack, scratch: base }, list) };
    } catch (error) {
      say(`${driver.name} cannot do it: ${error.message}`);
      driver.clear();
    } finally {
      process.chdir(home);
    }
  }
  return results;
}

const bar = 2;

export function layersLines(results) {
  return Object.entries(results).flatMap(([name, { one, many: stacked }]) =>
    [
      ["a first lookup", "first"],
      ["a name that is nowhere", "missing"],
    ].map(([what, key]) => {
      const times = stacked[key] / one[key];
      const line = `${name}: ${what} takes ${stacked[key].toFixed(1)} µs in ${many} layers, ${one[key].toFixed(1)} in one: ${times.toFixed(2)} times`;
      return name.startsWith("cowfs") ? verdict(times <= bar, `${line} (bar: ${bar})`) : line;
    }),
  );
}
