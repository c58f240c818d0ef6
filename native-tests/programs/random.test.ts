import { fileURLToPath } from "node:url";
import { type Case, cases } from "../harness/cases.js";
import { command } from "../harness/command.js";
import { type Entry, file, hard, link, type Tree } from "../harness/layers.js";

const program = fileURLToPath(new URL("../tools/random_ops.py", import.meta.url));
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

/** Another run may ask for other operations: RANDOM_SEED=… */
const seeds = [Number(process.env["RANDOM_SEED"] ?? 20_260_101), 7];

cases(
  "four processes of random operations, as on ext4",
  seeds.map(
    (seed): Case => ({
      name: `seed ${seed}`,
      timeout: 240_000,
      lowers: [layer(0), layer(1)],
      upper: { "s1/upper": "u", p0upper: "x" },
      run: async (merged) => {
        const results = await Promise.all(
          owners.map((owner, index) =>
            command("python3", [program, String(seed + index), "700", owner, merged.root], {
              timeout: 150_000,
              ...(process.env["RANDOM_TRACE"] === undefined
                ? {}
                : { env: { ...process.env, RANDOM_TRACE: `${process.env["RANDOM_TRACE"]}.${merged.kind}.` } }),
            }),
          ),
        );
        merged.transcript.push(...results.map((result, index) => `${owners[index]} => ${result.trim()}`));
      },
    }),
  ),
);
