import { link, type Tree } from "../harness/layers.js";
import type { ConformanceCase, Theme } from "./table.js";

const exdev = "a directory with lower parts is renamed only with redirect_dir=on";

/** What can be renamed, and renamed over; each lies in a directory of its own. */
const sources: Record<string, { lower?: Tree; lower2?: Tree; upper?: Tree }> = {
  "a lower file": { lower: { s: "source" } },
  "an upper file": { upper: { s: "source" } },
  "a lower symbolic link": { lower: { s: link("source") } },
  "a lower directory": { lower: { "s/x": "source" } },
  "an upper directory": { upper: { "s/x": "source" } },
  "a merged directory": { lower: { "s/x": "source" }, lower2: { "s/y": "source" }, upper: { "s/z": "source" } },
};
const targets: Record<string, { lower?: Tree; upper?: Tree; removed?: boolean }> = {
  nothing: {},
  file: { lower: { t: "target" } },
  ufile: { upper: { t: "target" } },
  link: { lower: { t: link("target") } },
  empty: { lower: { "t/": {} } },
  uempty: { upper: { "t/": {} } },
  full: { lower: { "t/y": "target" } },
  ufull: { upper: { "t/y": "target" } },
  merged: { lower: { "t/y": "target" }, upper: { "t/z": "target" } },
  removed: { lower: { "t/y": "target" }, removed: true },
};

function within(directory: string, tree: Tree = {}): Tree {
  return Object.fromEntries(Object.entries(tree).map(([path, value]) => [`${directory}/${path}`, value]));
}

/** One source renamed over each target; all that the native directory answers is compared. */
function matrix(source: string, flags: string, differs: Partial<ConformanceCase>): ConformanceCase {
  const parts = sources[source] ?? {};
  const [lower, lower2, upper]: [Tree, Tree, Tree] = [{}, {}, {}];
  const steps: string[] = [];
  for (const [name, target] of Object.entries(targets)) {
    Object.assign(lower, { [`${name}/`]: {} }, within(name, parts.lower), within(name, target.lower));
    Object.assign(lower2, within(name, parts.lower2));
    Object.assign(upper, within(name, parts.upper), within(name, target.upper));
    if (target.removed === true) {
      steps.push(`sh "rm -r ${name}/t"`);
    }
    steps.push(`rename ${name}/s ${name}/t ${flags} -> ?`, `sh "find ${name} | sort" -> ?`);
  }
  const how = flags === "0" ? "" : ` with ${flags}`;
  return {
    name: `${source} over everything${how}`,
    lowers: [lower, lower2],
    upper,
    steps: steps.join("\n"),
    ...differs,
  };
}

const matrices = ["0", "RENAME_NOREPLACE", "RENAME_EXCHANGE"].flatMap((flags) =>
  Object.keys(sources).map((source) =>
    matrix(source, flags, source.endsWith("directory") || flags === "RENAME_EXCHANGE" ? { overlay: exdev } : {}),
  ),
);

export const renameOver: readonly Theme[] = [{ title: "Rename: what over what", cases: matrices }];
