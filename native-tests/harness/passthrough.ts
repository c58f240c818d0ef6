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
    `passthrough: ${theme}`,
    list.map((one) => ({ ...one, options: { cowfs: ["--io", "passthrough"], ...one.options } })),
  );
}

/** The same cases once more, with `auto` as it does with lower files that are big. */
export function passedBig(theme: string, list: readonly Case[]): void {
  const before = "compared with passthrough already";
  cases(
    `auto, big lower files: ${theme}`,
    list.map((one) => ({
      ...one,
      options: { cowfs: ["--io", "auto", "-o", "lower_passthrough=0"], ...one.options },
      skip: { native: before, overlay: before },
    })),
  );
}

/** A number of those that the driver says of itself (the first of this name), or of a kind of request how many came; 0 if it says none. */
export async function status(merged: Merged, key: string): Promise<number> {
  const log = merged.area.at("driver.log");
  const before = readFileSync(log, "utf8").length;
  process.kill(merged.driver(), "SIGUSR1");
  for (let tries = 0; ; tries++) {
    const report = readFileSync(log, "utf8")
      .slice(before)
      .split("\n")
      .find((line) => line.endsWith('"msg":"status"}'));
    if (report !== undefined) return Number(new RegExp(`"${key}":(?:\\{"requests":)?(\\d+)`).exec(report)?.[1] ?? 0);
    if (tries > 500) throw new Error("the driver says nothing of itself");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
