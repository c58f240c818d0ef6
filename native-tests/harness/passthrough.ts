/** Cases on `--io passthrough` and `auto`: the kernel reads and writes the layers' files by itself. */
import { readFileSync } from "node:fs";
import { type Case, cases } from "./cases.js";
import type { Merged } from "./merged.js";

/** Why a case about readers that keep to the lower file means nothing elsewhere. */
export const keeps = {
  native: "there is one file only, and no layer that could be kept to",
  overlay: "its descriptors follow the file into the upper",
};

/** The same cases, on cowfs with passthrough. */
export function passed(theme: string, list: readonly Case[]): void {
  cases(
    theme,
    list.map((one) => ({ ...one, options: { cowfs: ["--io", "passthrough"], ...one.options } })),
  );
}

/** A number of those that the driver says of itself (the first of this name), or of a kind of request how many came. */
export async function status(merged: Merged, key: string): Promise<number> {
  const log = merged.area.at("driver.log");
  const before = readFileSync(log, "utf8").length;
  process.kill(merged.driver(), "SIGUSR1");
  for (let tries = 0; ; tries++) {
    const match = new RegExp(`"${key}":(?:\\{"requests":)?(\\d+)`).exec(readFileSync(log, "utf8").slice(before));
    if (match !== null) return Number(match[1]);
    if (tries > 500) throw new Error(`the driver says nothing of ${key}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
