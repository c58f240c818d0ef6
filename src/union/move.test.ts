import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { EXDEV } from "../errno.js";
import { ROOT } from "./node-table.js";
import { lookup } from "./ops/lookup.js";
import { rename } from "./ops/rename.js";
import { Bench } from "./testing.js";

test("a directory that lies too deep for a redirect is not renamed", () => {
  const bench = new Bench([{ "p/": "" }]);
  try {
    const name = "n".repeat(250);
    const below = Array(17).fill(`mkdir ${name} && cd -P ${name}`).join(" && ");
    execFileSync("sh", ["-c", `cd ${bench.lowers[0]}/p && ${below} && mkdir deep`]);
    let node = bench.node("p");
    for (let i = 0; i < 17; i++) node = lookup(bench.u, node, name);
    expect(lookup(bench.u, node, "deep")).toBeGreaterThan(0);
    expect(rename(bench.u, node, "deep", ROOT, "up", 0)).toBe(-EXDEV);
    expect(lookup(bench.u, node, "deep")).toBeGreaterThan(0);
  } finally {
    // Deeper than Node's own rm can name.
    execFileSync("rm", ["-rf", bench.root]);
    bench.close();
  }
});
