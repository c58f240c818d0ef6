import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, test } from "vitest";
import { command } from "../harness/command.js";

const fuzzer = fileURLToPath(new URL("../../scripts/fuzz", import.meta.url));
const regressions = fileURLToPath(new URL("regressions/", import.meta.url));

/** Bounded by operations; the time is only there for a machine that is much slower than any. */
const fuzz = (...args: string[]): Promise<string> => command(fuzzer, args, { timeout: 240_000 });

describe("random operations on a union, as on a plain directory", () => {
  test("what was found once", () =>
    fuzz(
      ...readdirSync(regressions)
        .filter((name) => name.endsWith(".case"))
        .map((name) => regressions + name),
    ));
  test("fixed seeds", () => fuzz("--seed", "1", "--count", "4", "--ops", "1200", "--shrink", "30"));
  test("seeds of the day", () => fuzz("--count", "2", "--ops", "1200", "--shrink", "30"));
});
