/** What `image load` takes, beside tar, which unpacks the same layers one after the other. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { makeImage, makeLayerArchives } from "../image.mjs";
import { verdict } from "../lines.mjs";
import { median } from "../ratios.mjs";

const cowfs = new URL("../../../build/cowfs", import.meta.url).pathname;
const formats = ["plain", "gzip", "zstd"];
const uncompress = { plain: [], gzip: ["--gzip"], zstd: ["--zstd"] };
/** f_type of tmpfs. */
const TMPFS = 0x01021994;

/** CPU time of the children that have ended, in seconds, to a hundredth. */
function childrensTime() {
  const stat = readFileSync("/proc/self/stat", "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // cutime and cstime: fields 16 and 17, counted from 1, of which `fields` has those from the third.
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

/** With a priority above other programs, so that what they do counts less. */
function runFirst(program, args) {
  const done = spawnSync("chrt", ["-r", "5", program, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  if (done.status !== 0) throw new Error(`${program}: ${done.error?.message ?? done.stderr}`);
}

function timed(work) {
  const cpu = childrensTime();
  const start = process.hrtime.bigint();
  work();
  return { seconds: Number(process.hrtime.bigint() - start) / 1e9, cpu: childrensTime() - cpu };
}

function untar(place, layers, format) {
  for (const [index, layer] of layers.entries()) {
    const directory = join(place, String(index));
    mkdirSync(directory);
    runFirst("tar", ["-x", ...uncompress[format], "-f", layer, "-C", directory]);
  }
}

const ways = {
  tar: untar,
  "tar, sync": (place, layers, format) => {
    untar(place, layers, format);
    runFirst("sync", ["-f", place]);
  },
  load: (place, _layers, _format, image) => runFirst(cowfs, ["--root", place, "image", "load", "-q", "-i", image]),
};

/**
 * By format and way: seconds and CPU seconds of each round. Archives are in the page cache, and nothing waits to be written when one begins.
 * On a disk everything stays until the end, half a gigabyte for each round, way and format: a file system may be slow where files were removed just
 * before.
 */
export function measureLoad(base, _drivers, sizes, say, rounds) {
  say(`load: an image of ${sizes.imageFiles} files`);
  const archives = makeLayerArchives(base, sizes.imageFiles, sizes.imageBytes);
  const inMemory = statfsSync(base).type === TMPFS;
  const results = {};
  for (const format of formats) {
    const { image, layers } = makeImage(base, format, archives);
    runFirst("cat", [image, ...layers]);
    results[format] = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
    for (let round = 0; round < rounds; round++) {
      say(`load: ${format}, round ${round + 1}`);
      const names = Object.keys(ways);
      for (let turn = 0; turn < names.length; turn++) {
        const way = names[(round + turn) % names.length];
        const place = join(base, `${format}-${round}-${way}`);
        mkdirSync(place);
        spawnSync("sync", ["-f", place]);
        results[format][way].push(timed(() => ways[way](place, layers, format, image)));
        if (inMemory) rmSync(place, { recursive: true });
      }
    }
    rmSync(image);
  }
  return results;
}

const bar = 1.2;

export function loadLines(results) {
  return Object.entries(results).flatMap(([format, byWay]) => {
    const of = (way, key) => median(byWay[way].map((one) => one[key]));
    const lines = Object.keys(byWay).map((way) => {
      const all = byWay[way].map(({ seconds }) => seconds);
      const range = `${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}`;
      return `${format}, ${way}: ${of(way, "seconds").toFixed(2)} s (${range}), ${of(way, "cpu").toFixed(2)} s of CPU time`;
    });
    const times = of("load", "seconds") / of("tar", "seconds");
    const synced = of("load", "seconds") / of("tar, sync", "seconds");
    const text = `${format}: image load takes ${times.toFixed(2)} times as long as tar x, ${synced.toFixed(2)} times as long as tar x and sync`;
    return [...lines, verdict(synced <= bar, `${text} (bar: ${bar})`)];
  });
}
