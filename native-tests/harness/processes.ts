import { dropCaches } from "./mounts.js";
import type { Step } from "./steps.js";
import { CallError, Worker } from "./worker.js";

/** What one operation of a step came to: its result, or the name of an errno. */
export interface Result {
  readonly text: string;
  readonly ok: boolean;
  /** It differs from run to run (a descriptor, an inode number). */
  readonly volatile: boolean;
}

/** The processes of a case, by their names in its steps, and what the steps have stored in variables. */
export class Processes {
  readonly variables = new Map<string, string>();
  readonly #workers = new Map<string, Worker>();

  /** @param root the tree that the operations see; asked for when a process starts */
  constructor(readonly root: () => string) {}

  /** A process; `a` is the one that steps without a name use. */
  worker(name = "a"): Worker {
    let worker = this.#workers.get(name);
    if (worker === undefined) {
      worker = new Worker(this.root());
      this.#workers.set(name, worker);
    }
    return worker;
  }

  async end(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.end()));
    this.#workers.clear();
  }

  /** Puts the values of variables in the place of `$name`. */
  insert(text: string): string {
    return text.replace(/\$(\w+)/g, (whole, name: string) => this.variables.get(name) ?? whole);
  }

  /** Does one step that is no `remount`. @throws if the process does not answer, or the test is wrong */
  async perform(step: Step): Promise<Result> {
    let result: Result;
    if (step.op === "drop_caches") {
      dropCaches();
      return { text: "", ok: true, volatile: false };
    }
    try {
      const args = step.args.map((word) => this.insert(word));
      const answer = await this.worker(step.process).call(step.op, args, 120_000);
      result = { ...answer, ok: true };
    } catch (error) {
      if (!(error instanceof CallError)) {
        throw error;
      }
      result = { text: error.code, ok: false, volatile: false };
    }
    if (step.variable !== undefined) {
      this.variables.set(step.variable, result.text);
    }
    return result;
  }
}
