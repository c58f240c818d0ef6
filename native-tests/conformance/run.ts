import { shell } from "../harness/command.js";
import { type Entry, hard, type Tree } from "../harness/layers.js";
import { type Layers, Merged, type Placed, withoutNow } from "../harness/merged.js";
import { Processes, type Result } from "../harness/processes.js";
import { meets, parseSteps, type Step } from "../harness/steps.js";
import { helper } from "../harness/worker.js";
import type { Column, ConformanceCase, Theme } from "./table.js";

/** What was looked at, and what it was. */
export interface Line {
  readonly what: string;
  readonly answer: string;
}

/** What a case came to on one column. */
export interface Outcome {
  /** One for each step. */
  readonly lines: readonly Line[];
  /** The final tree, and what of it was otherwise after a remount. */
  readonly tree: Readonly<Record<string, string>>;
  /** What makes the case itself wrong, or the file system unusable; no mere difference. */
  readonly failures: readonly string[];
}

/** What a theme came to on one column. */
export interface ThemeOutcome {
  readonly cases: readonly Outcome[];
  readonly failures: readonly string[];
}

/** A case that is being run: its own directory, processes and record. */
class Running {
  readonly lines: Line[] = [];
  tree: Record<string, string> = {};
  readonly failures: string[] = [];
  /** The steps between remounts. */
  readonly phases: Step[][] = [[]];
  readonly #processes: Processes;

  constructor(
    readonly one: ConformanceCase,
    readonly directory: string,
    private readonly stage: Merged,
  ) {
    this.#processes = new Processes(() => this.root());
    for (const step of parseSteps(one.steps)) {
      if (step.op === "remount") {
        this.phases.push([]);
      } else {
        this.phases.at(-1)?.push(step);
      }
    }
  }

  private root(): string {
    return `${this.stage.root}/${this.directory}`;
  }

  async phase(index: number): Promise<void> {
    for (const step of this.phases[index] ?? []) {
      const what = step.line.replace(/ ->.*/, "");
      try {
        this.lines.push({ what, answer: this.#judge(step, await this.#processes.perform(step)) });
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (message.includes("the worker")) {
          this.lines.push({ what, answer: "the process died" });
        } else if (message.includes("hangs")) {
          this.lines.push({ what, answer: "no answer" });
        } else if (this.stage.kind === "native") {
          this.failures.push(message);
        } else {
          this.lines.push({ what, answer: "not possible" }); // what a step before should have opened is not there
        }
      }
    }
    await this.#processes.end();
  }

  /** The answer as it is compared and shown: what cannot be the same in another run is told by whether it is as expected. */
  #judge(step: Step, result: Result): string {
    const met = meets(result.text, result.ok, step.expected && this.#processes.insert(step.expected));
    if (this.stage.kind === "native" && !met && step.expected !== "?") {
      this.failures.push(`${step.line}: the native directory answers ${JSON.stringify(result.text)}`);
    }
    if (step.expected === "*") {
      return "anything";
    }
    if (result.volatile) {
      return step.expected === undefined || step.expected === "?" ? "ok" : met ? step.expected : `not ${step.expected}`;
    }
    return result.ok && result.text === "" ? "ok" : result.text;
  }

  async view(): Promise<Record<string, string>> {
    if (this.one.tree === "none") {
      return {};
    }
    const answer = await helper().call("snapshot", [this.root(), this.one.tree ?? "dirtimes"], 120_000);
    return withoutNow(JSON.parse(answer.text) as Record<string, string>);
  }
}

/** The layers of all cases in one: each has a directory of its own in each. */
function layersOf(theme: Theme, column: Column): Layers {
  const count = Math.max(1, theme.lowerPlaces?.length ?? 0, ...theme.cases.map((one) => one.lowers?.length ?? 1));
  const lowers: (Tree | Placed)[] = [];
  for (let layer = 0; layer < count; layer++) {
    const tree: Tree = {};
    for (const [index, one] of theme.cases.entries()) {
      if (layer === 0) {
        tree[`${directoryOf(index)}/`] = {};
      }
      Object.assign(tree, below(directoryOf(index), one.lowers?.[layer] ?? {}));
    }
    lowers.push({ place: theme.lowerPlaces?.[layer] ?? "disk", tree });
  }
  const upper: Tree = {};
  for (const [index, one] of theme.cases.entries()) {
    Object.assign(upper, below(directoryOf(index), one.upper ?? {}));
  }
  return {
    lowers,
    upper: theme.readOnly === true ? false : upper,
    ...(theme.upperPlace === undefined ? {} : { upperPlace: theme.upperPlace }),
    options: { overlay: column.options, cowfs: theme.options ?? [] },
    prepare: async (stage) => {
      for (const [index, one] of theme.cases.entries()) {
        if (one.prepare !== undefined) {
          await shell(one.prepare, { cwd: `${stage.lowers[0]}/${directoryOf(index)}` });
        }
      }
    },
  };
}

const directoryOf = (index: number): string => `c${index}`;

function below(directory: string, tree: Tree): Tree {
  const moved = (value: Tree[string]): Tree[string] =>
    typeof value !== "string" && (value as Entry).type === "hard" ? hard(`${directory}/${value.target}`) : value;
  return Object.fromEntries(Object.entries(tree).map(([path, value]) => [`${directory}/${path}`, moved(value)]));
}

/** Runs all cases of a theme on one column. */
export async function runTheme(theme: Theme, column: Column): Promise<ThemeOutcome> {
  const stage = new Merged(column.kind, layersOf(theme, column));
  const running = theme.cases.map((one, index) => new Running(one, directoryOf(index), stage));
  try {
    await stage.start();
    const phases = Math.max(...running.map((one) => one.phases.length));
    for (let phase = 0; phase < phases; phase++) {
      if (phase > 0) {
        await stage.remount();
      }
      for (const one of running) {
        await one.phase(phase);
      }
    }
    await viewAll(running, stage);
    await stage.unmount();
    if (column.kind === "cowfs") {
      await stage.checkLowers();
      await stage.checkLitter();
    }
  } catch (error) {
    stage.failures.push(`${error instanceof Error ? error.message : String(error)}${stage.driverLog()}`);
  } finally {
    await stage.finish();
  }
  return { cases: running, failures: stage.failures };
}

/** The final trees, and whether they are the same after a remount. */
async function viewAll(running: readonly Running[], stage: Merged): Promise<void> {
  for (const one of running) {
    one.tree = await one.view();
  }
  if (stage.kind === "native") {
    return;
  }
  await stage.remount();
  for (const one of running) {
    const again = await one.view();
    for (const path of new Set([...Object.keys(one.tree), ...Object.keys(again)])) {
      if (one.tree[path] !== again[path]) {
        one.tree[`${path} after a remount`] = again[path] ?? "absent";
      }
    }
  }
}
