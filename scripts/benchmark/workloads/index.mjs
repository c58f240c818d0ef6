/**
 * What is measured. `table`: one of the 24 of the yardstick. `files`: what messages are divided by. `prepare` is not
 * measured; `measure` returns milliseconds; `clean` brings the native directory back to what it was, the other drivers
 * lose their upper. All get a Place. `needs`: a program; `skip`: drivers that cannot be measured so.
 */
import { existsSync } from "node:fs";
import { changes } from "./changes.mjs";
import { data } from "./data.mjs";
import { lookups } from "./lookups.mjs";
import { programs } from "./programs.mjs";

/** All workloads that this machine can run, at these sizes, in the order of the table. */
export function makeWorkloads(sizes) {
  return [...lookups(sizes), ...programs(sizes), ...changes(sizes), ...data(sizes)].filter(
    ({ needs }) => needs === undefined || existsSync(needs),
  );
}
