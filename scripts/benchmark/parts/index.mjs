/** What is measured besides workloads. `run` gets a directory of its own, drivers, sizes, `say` and the number of rounds; `lines` the result. */
import { idleLines, measureIdle } from "./idle.mjs";
import { layersLines, measureLayers } from "./layers.mjs";
import { loadLines, measureLoad } from "./load.mjs";
import { measureMillion, millionLines } from "./million.mjs";
import { inspect, walkLines } from "./walk.mjs";

export const parts = [
  {
    name: "inside",
    title: "memory over 100,000 files, and the times of a million lookups with a million nodes known",
    async run(base, drivers, sizes, say) {
      const walk = await inspect(base, drivers, sizes.treeFiles, say);
      const cowfs = drivers.find(({ counts }) => counts);
      return cowfs === undefined ? { walk } : { walk, million: measureMillion(base, cowfs, sizes.nodes, say) };
    },
    lines: ({ walk, million }) => [...walkLines(walk), ...(million === undefined ? [] : millionLines(million))],
  },
  {
    name: "layers",
    title: "lookups in 100 layers and in one",
    run: measureLayers,
    lines: layersLines,
  },
  {
    name: "idle",
    title: "memory of a fresh mount, CPU time of an idle one",
    run: measureIdle,
    lines: idleLines,
  },
  {
    name: "load",
    title: "image load of 500 MB in 20,000 files, beside tar x of the layers",
    run: measureLoad,
    lines: loadLines,
  },
];
