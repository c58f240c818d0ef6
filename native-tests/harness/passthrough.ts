/** Cases on `--io passthrough`: the kernel reads and writes the layers' files by itself. */
import { type Case, cases } from "./cases.js";

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
