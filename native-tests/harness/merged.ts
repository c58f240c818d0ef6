import { readFileSync } from "node:fs";
import { Area, type Place } from "./area.js";
import type { Tree } from "./layers.js";
import { forceUnmount, type Kind, mountStack, type Stack, unmount } from "./mounts.js";
import { Processes, type Result } from "./processes.js";
import { meets, parseSteps } from "./steps.js";
import { helper, type Worker } from "./worker.js";

/** A lower layer that is not on the disk. */
export interface Placed {
  readonly place: Place;
  readonly tree: Tree;
}

/** What a merged tree is made of. */
export interface Layers {
  /** Top first; one empty layer if nothing is said. */
  readonly lowers?: readonly (Tree | Placed)[];
  /** What the upper holds from an earlier life. `false`: there is no upper, the mount is read-only. */
  readonly upper?: Tree | false;
  /** Where upper and work directory are. */
  readonly upperPlace?: Place;
  /** What the union should show, for layers in formats that kernel overlayfs does not read. */
  readonly merged?: Tree;
  /** Fills the lower layers by other means, before they are mounted. */
  readonly prepare?: (merged: Merged) => Promise<unknown>;
  /** More options for mounting, by kind. */
  readonly options?: Partial<Record<Kind, readonly string[]>>;
}

const isPlaced = (layer: Tree | Placed): layer is Placed => typeof layer["place"] === "string" && "tree" in layer;

/** One merged tree under test, on one kind of file system. */
export class Merged {
  readonly area = new Area();
  readonly lowers: string[] = [];
  readonly upper: string;
  readonly work: string;
  /** The tree that the operations see. */
  root = "";
  /** One line an operation, with what it answered; the same on every kind if they behave the same. */
  readonly transcript: string[] = [];
  readonly failures: string[] = [];
  readonly #processes = new Processes(() => this.root);
  #before: Record<string, string>[] = [];
  #mounted = false;
  #atEnd: (() => Promise<unknown>)[] = [];
  /** Mounts that hold layers, and go away with the area. */
  #places: string[] = [];

  constructor(
    readonly kind: Kind,
    readonly layers: Layers,
  ) {
    this.upper = this.area.at("up/upper");
    this.work = this.area.at("up/work");
  }

  get stack(): Stack {
    return { lowers: this.lowers, ...(this.layers.upper === false ? {} : { upper: this.upper, work: this.work }) };
  }

  /** Builds the layers and mounts them. */
  async start(): Promise<void> {
    const { area, layers } = this;
    for (const [index, layer] of (layers.lowers ?? [{}]).entries()) {
      const placed = isPlaced(layer) ? layer : { place: "disk" as const, tree: layer as Tree };
      this.lowers.push(await area.layer(`l${index}`, placed.place, placed.tree));
    }
    await area.directory("up", this.kind === "native" ? "disk" : (layers.upperPlace ?? "disk"));
    await area.directory("up/upper");
    await area.directory("up/work");
    await area.directory("mnt");
    await area.build(this.upper, layers.upper === false ? {} : (layers.upper ?? {}));
    await layers.prepare?.(this);
    this.#places = area.mounts();
    for (const lower of this.lowers) {
      this.#before.push(await area.exact(lower));
    }
    if (this.kind === "native") {
      await this.#flatten();
    } else {
      this.root = area.at("mnt");
      await this.mount();
    }
  }

  /** Makes the plain directory that shows what the union should: the kernel's own merge, copied with everything. */
  async #flatten(): Promise<void> {
    this.root = this.area.at("mnt");
    if (this.layers.upperPlace !== undefined && this.layers.upperPlace !== "disk") {
      await this.area.directory("mnt", this.layers.upperPlace);
      this.#places = this.area.mounts();
    }
    if (this.layers.merged !== undefined) {
      await this.area.build(this.root, this.layers.merged);
      return;
    }
    const view = await this.area.directory("view");
    const lowers = this.layers.upper === false ? this.lowers : [this.upper, ...this.lowers];
    await mountStack("overlay", { lowers }, view, ["xino=off"]);
    try {
      await helper().call("copy_tree", [view, this.root], 120_000);
    } finally {
      await unmount(view);
    }
    if (this.layers.upper === false) {
      await helper().call("remount_read_only", [this.root]);
      this.#places = this.area.mounts();
    }
  }

  async mount(options: readonly string[] = []): Promise<void> {
    const log = this.kind === "cowfs" ? ["--log", this.area.at("driver.log")] : [];
    await mountStack(this.kind, this.stack, this.root, [
      ...(this.layers.options?.[this.kind] ?? []),
      ...log,
      ...options,
    ]);
    this.#mounted = true;
  }

  /** Unmounts as a user would, after the processes of the test have ended. */
  async unmount(): Promise<void> {
    await this.endWorkers();
    if (this.kind === "native" || !this.#mounted) {
      return;
    }
    this.#mounted = false;
    await unmount(this.root);
    if (this.kind === "cowfs") {
      await this.driverEnds();
    }
  }

  /** Waits for the driver's process, which outlives umount(8) by the time it takes to tidy up. */
  async driverEnds(): Promise<void> {
    for (let waited = 0; this.drivers().length > 0; waited += 20) {
      if (waited > 60_000) {
        throw new Error(`after umount the driver goes on: ${this.drivers().join(" ")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** After the driver died: takes away what is left of the mount. */
  async crashed(): Promise<void> {
    await this.endWorkers();
    await forceUnmount(this.root);
    this.#mounted = false;
  }

  /** Everything that was in memory only must come back from the disk. */
  async remount(): Promise<void> {
    await this.unmount();
    if (this.kind !== "native") {
      await this.mount();
    }
  }

  endWorkers(): Promise<void> {
    return this.#processes.end();
  }

  /** A process by its name in the steps; `a` is the one that steps without a name use. */
  worker(name?: string): Worker {
    return this.#processes.worker(name);
  }

  /** One operation that must succeed; its result. */
  async do(op: string, ...args: readonly (string | number)[]): Promise<string> {
    return (await this.worker().call(op, args.map(String), 120_000)).text;
  }

  /** Runs steps (see steps.ts); all of them, even if one is not met. `variables` are there from the start. */
  async steps(text: string, variables: ReadonlyMap<string, string> = new Map()): Promise<void> {
    for (const [name, value] of variables) {
      this.#processes.variables.set(name, value);
    }
    for (const step of parseSteps(text)) {
      if (step.op === "remount") {
        await this.remount();
        continue;
      }
      let answer: Result;
      try {
        answer = await this.#processes.perform(step);
      } catch (error) {
        throw new Error(`at step: ${step.line}\n${this.report()}`, { cause: error });
      }
      if (step.op === "drop_caches") {
        continue;
      }
      const expected = step.expected === undefined ? undefined : this.#processes.insert(step.expected);
      const shown =
        answer.volatile && !(expected !== undefined && expected !== "*") ? "~" : JSON.stringify(answer.text);
      const met = meets(answer.text, answer.ok, expected);
      this.transcript.push(
        step.expected === "*"
          ? step.line
          : `${step.line.replace(/ ->.*/, "")} => ${met && answer.volatile ? "~" : shown}`,
      );
      if (!met) {
        this.failures.push(
          `${step.line}\n    answered ${JSON.stringify(answer.text)}${expected === step.expected ? "" : `, wanted ${expected}`}`,
        );
      }
    }
  }

  report(): string {
    return this.transcript.map((line) => `    ${line}`).join("\n");
  }

  /** The tree as users see it; times that the test itself set in motion read `now`. */
  async view(words = "dirtimes"): Promise<Record<string, string>> {
    return JSON.parse((await helper().call("snapshot", [this.root, words], 120_000)).text) as Record<string, string>;
  }

  /** The processes that serve the mount: one, or none after its end. */
  private drivers(): number[] {
    return this.area
      .processes()
      .filter(({ commandLine }) => commandLine.endsWith(` --driver ${this.root}`))
      .map(({ pid }) => pid);
  }

  /** The process that serves the mount. */
  driver(): number {
    const [driver] = this.drivers();
    if (driver === undefined) {
      throw new Error("no driver is running");
    }
    return driver;
  }

  /** The layers were changed on purpose: they are not compared with what they were. */
  async acceptLowers(): Promise<void> {
    this.#before = [];
    for (const lower of this.lowers) {
      this.#before.push(await this.area.exact(lower));
    }
  }

  /** The last lines of the driver's log, for the report of a failure. */
  driverLog(most = 8): string {
    try {
      const lines = readFileSync(this.area.at("driver.log"), "latin1").trimEnd().split("\n").slice(-most);
      return lines.join("\n") === "" ? "" : `\nlog of the driver:\n${lines.join("\n")}`;
    } catch {
      return "";
    }
  }

  /** Whatever the test did, the lower layers are as they were; differences are failures. */
  async checkLowers(): Promise<void> {
    for (const [index, lower] of this.lowers.entries()) {
      const difference = compareTrees(this.#before[index] ?? {}, await this.area.exact(lower));
      if (difference !== "") {
        this.failures.push(`lower layer ${index} was changed:\n${difference}`);
      }
    }
  }

  /** What the work directory should not hold after an orderly unmount. */
  async checkLitter(): Promise<void> {
    if (this.kind === "native" || this.layers.upper === false) {
      return;
    }
    const left = (await helper().call("litter", [this.work])).text;
    if (left !== "") {
      this.failures.push(`the work directory was left with: ${left}`);
    }
  }

  /** Something to do when the case ends, whether it went well or not. */
  atEnd(action: () => Promise<unknown>): void {
    this.#atEnd.push(action);
  }

  /** Ends everything, by force where that is needed. */
  async finish(): Promise<void> {
    for (const action of this.#atEnd.reverse()) {
      await action().catch(() => undefined); // it may have ended already
    }
    try {
      await this.unmount();
    } catch (error) {
      this.failures.push(String(error));
    }
    const complaints = await this.area.remove(this.#places);
    this.failures.push(...complaints);
  }
}

/** `path: first | second` for each path whose lines differ; empty if none does. */
export function compareTrees(first: Record<string, string>, second: Record<string, string>): string {
  return [...new Set([...Object.keys(first), ...Object.keys(second)])]
    .filter((path) => first[path] !== second[path])
    .slice(0, 20)
    .map(
      (path) => `    ${path.slice(-120)}\n      - ${first[path] ?? "(absent)"}\n      + ${second[path] ?? "(absent)"}`,
    )
    .join("\n");
}

/** Times of the test's own making (after September 2020; what the builder makes is older) read `now`. */
export function withoutNow(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree).map(([path, line]) => [path, line.replace(/ ([mca])1[6-9]\d{8}\.\d{9}/g, " $1now")]),
  );
}
