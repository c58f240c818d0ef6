import { fileURLToPath } from "node:url";
import type { Place } from "../harness/area.js";
import { type Case, cases } from "../harness/cases.js";
import { command } from "../harness/command.js";
import { type Entry, file, hard, link, type Tree } from "../harness/layers.js";

const operations = fileURLToPath(new URL("../tools/random_ops.py", import.meta.url));
const owners = ["p0", "p1", "p2", "p3"];

/** Files and directories for each process, in directories that all share. */
function layer(number: number): Tree {
  const tree: Record<string, string | Entry> = { [`s1/common${number}`]: "c", [`s2/s3/common${number}`]: "c" };
  for (const owner of owners) {
    for (let index = number * 8; index < number * 8 + 12; index++) {
      tree[`${owner}f${index}`] = file("", { fill: 1_000 * index + 10, seed: index + number });
      tree[`s1/${owner}f${index}`] = `in s1, layer ${number}`;
      tree[`s2/s3/${owner}d${index % 5}/${owner}f${index}`] = file("deep", { mode: 0o600, uid: index });
      tree[`${owner}d${index % 3}/${owner}e${index % 2}/${owner}f${index}`] = `${index}`;
    }
    tree[`s1/${owner}h${number}`] = hard(`${owner}f${number * 12 + 1}`);
    tree[`s2/s3/${owner}h${number}`] = hard(`s1/${owner}f${number * 12 + 2}`);
    tree[`s2/${owner}l${number}`] = link(`${owner}f${number}`);
  }
  return tree;
}

/** RANDOM_TRACE=/tmp/trace. writes what each process did, to find where two kinds part. */
function traced(name: string): { env?: NodeJS.ProcessEnv } {
  const prefix = process.env["RANDOM_TRACE"];
  return prefix === undefined ? {} : { env: { ...process.env, RANDOM_TRACE: prefix + name } };
}

/** Another run may ask for other operations: RANDOM_SEED=… */
const first = Number(process.env["RANDOM_SEED"] ?? 20_260_101);
const places: { seed: number; place: Place }[] = [
  { seed: first, place: "disk" },
  { seed: first + 100, place: "tmpfs:256M" },
  { seed: first + 200, place: "xfs:400M" },
];

cases(
  "four processes of random operations, as on ext4",
  places.map(
    ({ seed, place }): Case => ({
      name: `seed ${seed}, the upper on ${place.split(":")[0]}`,
      upperPlace: place,
      ...(place === "disk" ? {} : { skip: { overlay: "nothing to learn for the time it takes" } }),
      timeout: 240_000,
      lowers: place === "disk" ? [layer(0), layer(1)] : [{ place: "tmpfs:64M", tree: layer(0) }, layer(1)],
      upper: { "s1/upper": "u", p0upper: "x" },
      run: async (merged) => {
        // The second round starts with what only the disk remembers.
        for (const round of [0, 1]) {
          const results = await Promise.all(
            owners.map((owner, index) =>
              command("python3", [operations, String(seed + index + 10 * round), "350", owner, merged.root], {
                timeout: 150_000,
                ...traced(`${merged.kind}.${round}.`),
              }),
            ),
          );
          merged.transcript.push(
            ...results.map((result, index) => `${owners[index]}, round ${round} => ${result.trim()}`),
          );
          await merged.remount();
        }
      },
    }),
  ),
);
