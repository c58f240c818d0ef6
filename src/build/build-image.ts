/** Builds an image from a Dockerfile: stage by stage, step by step, each from the cache if it has been made before. */
import { posix } from "node:path";
import { RootView } from "../assemble/root-view.js";
import { signalNumber } from "../assemble/signals.js";
import type { UnionMounter } from "../assemble/union.js";
import { resolveUser } from "../assemble/users.js";
import { findStep, storeStep } from "../store/build-cache.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError, undoAfter } from "../store/error.js";
import { applyChange, isChange } from "../store/image-changes.js";
import { findImage, readConfig, storeImage } from "../store/images.js";
import { storeLock, withLock } from "../store/lock.js";
import type { ImageRecord } from "../store/records.js";
import { atAsync, BuildError } from "./build-error.js";
import { checkStep } from "./check-step.js";
import { copyInto } from "./copy-into.js";
import { copyKey, copyOf } from "./copy-step.js";
import { type Dockerfile, parseNested, type Statement } from "./dockerfile.js";
import { expand, splitWords } from "./expand.js";
import { healthCheckOf } from "./healthcheck.js";
import { argsOf, type Base, type BuildPlan, planBuild, platformArgs, type Stage } from "./plan.js";
import type { Reporter, StepTitle } from "./reporter.js";
import { execute, isProxy, runOf } from "./run-step.js";
import type { SourceTree } from "./source-tree.js";
import { keyOf, StageState } from "./stage-state.js";
import { type Bench, Workshop } from "./workshop.js";

export interface BuildWish {
  readonly dockerfile: Dockerfile;
  /** What COPY and ADD find, with its `.dockerignore`. */
  readonly context: SourceTree;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly target?: string | undefined;
  readonly names: readonly string[];
  /** Whether steps are taken from the cache; they are put there in any case. */
  readonly cached: boolean;
  /** SOURCE_DATE_EPOCH: no time in the image is later, in seconds since 1970. */
  readonly epoch?: number | undefined;
  readonly mounter: UnionMounter;
  readonly reporter: Reporter;
  /** Aborted: what runs is ended, and what it throws is its reason. */
  readonly signal: AbortSignal;
}

/** Throws StoreError, and the signal's reason. Steps that were complete by then stay in the cache; of the image nothing is there. */
export async function buildImage(root: DataRoot, wish: BuildWish): Promise<ImageRecord> {
  const plan = planBuild(wish.dockerfile, wish.buildArgs, wish.target);
  const workshop = await Workshop.open(root, wish.mounter);
  let image: ImageRecord;
  try {
    image = await new Builder(root, wish, plan, workshop).build();
  } catch (error) {
    return await undoAfter(error, () => workshop.close());
  }
  await workshop.close();
  return image;
}

/** What changes files: its key, without what it starts from, and how it is done. */
interface Change {
  readonly key: unknown;
  make(bench: Bench): Promise<void>;
}

class Builder {
  private readonly done = new Map<number, StageState>();
  private readonly unusedArgs: Set<string>;

  constructor(
    private readonly root: DataRoot,
    private readonly wish: BuildWish,
    private readonly plan: BuildPlan,
    private readonly workshop: Workshop,
  ) {
    this.unusedArgs = new Set(
      [...wish.buildArgs.keys()].filter((name) => !isProxy(name) && name !== "SOURCE_DATE_EPOCH"),
    );
    for (const name of plan.globals.keys()) this.unusedArgs.delete(name);
  }

  async build(): Promise<ImageRecord> {
    const { stages } = this.plan;
    for (const stage of stages) this.done.set(stage.index, await this.stage(stage));
    for (const name of this.unusedArgs) this.wish.reporter.warn(`no ARG asks for the build argument ${name}`);
    const state = this.done.get(stages.at(-1)?.index ?? -1) as StageState;
    const config = state.document(this.wish.epoch === undefined ? state.created : this.now());
    this.wish.signal.throwIfAborted();
    return await storeImage(this.root, Buffer.from(JSON.stringify(config)), this.wish.names);
  }

  private now(): string {
    const { epoch } = this.wish;
    return (epoch === undefined ? new Date() : new Date(epoch * 1000)).toISOString();
  }

  private async stage(stage: Stage): Promise<StageState> {
    const { from, base } = stage;
    const parent = base.kind === "stage" ? this.done.get(base.index) : undefined;
    const state = new StageState(await atAsync(from, () => this.start(base)), parent?.args);
    const triggers = (state.config.OnBuild ?? []).map((text) => parseNested(text, this.plan.escapeChar, from));
    for (const trigger of triggers) checkTrigger(trigger);
    if (triggers.length > 0) state.config = { ...state.config, OnBuild: null };
    const steps = [...triggers, ...stage.steps];
    const title = (step: Statement, number: number): StepTitle => ({
      stage: stage.name ?? (this.plan.stages.length > 1 ? `stage-${stage.index}` : ""),
      number,
      count: steps.length + 1,
      source: step.source,
    });
    this.wish.reporter.begins(title(from, 1));
    this.wish.reporter.ends({ kind: "noted" });
    for (const [index, step] of steps.entries()) {
      this.wish.signal.throwIfAborted();
      this.wish.reporter.begins(title(step, index + 2));
      await atAsync(step, () => this.step(step, state, stage));
    }
    return state;
  }

  /** The configuration that a stage starts from; its layers stay from now on. */
  private async start(base: Base) {
    if (base.kind === "scratch") return undefined;
    if (base.kind === "stage") return this.done.get(base.index)?.document();
    return await withLock(this.root, storeLock, () => {
      const config = readConfig(this.root, findImage(this.root, base.name).id);
      this.workshop.hold(config.rootfs.diff_ids);
      return config;
    });
  }

  private async step(step: Statement, state: StageState, stage: Stage): Promise<void> {
    const { escapeChar } = this.plan;
    const { keyword, rest, source } = step;
    if (keyword === "RUN") return await this.change(step, state, this.run(step, state));
    if (keyword === "COPY" || keyword === "ADD")
      return await this.change(step, state, await this.copy(step, state, stage));
    if (isChange(keyword)) {
      state.config = applyChange(state.config, keyword, rest, {
        words: (text) => splitWords(text, escapeChar).map((word) => expand(word, state.lookup, escapeChar)),
        word: (text) => expand(text, state.lookup, escapeChar),
      });
      if (keyword === "WORKDIR") return await this.change(step, state, this.workingDirectory(state));
      if (keyword === "STOPSIGNAL" && signalNumber(state.config.StopSignal ?? "") === undefined)
        throw new StoreError(`STOPSIGNAL takes a signal such as SIGTERM or 15, and ${rest} is none`);
      if (keyword === "CMD") state.hasCommand = true;
      // What the image below runs is an argument for its own entry point.
      if (keyword === "ENTRYPOINT" && !state.hasCommand) state.config = { ...state.config, Cmd: null };
    } else if (keyword === "ARG") this.declare(step, state);
    else if (keyword === "HEALTHCHECK") state.config = { ...state.config, Healthcheck: healthCheckOf(step) };
    else if (keyword === "ONBUILD") {
      checkTrigger(parseNested(rest, escapeChar, step));
      state.config = { ...state.config, OnBuild: [...(state.config.OnBuild ?? []), rest] };
    } else if (keyword === "MAINTAINER") state.author = rest;
    else throw new BuildError(step, "this cannot stand here");
    state.noteMetadata(source);
    this.wish.reporter.ends({ kind: "noted" });
  }

  /** ARG: the value of the command line, of the same ARG before the first FROM, or the default. */
  private declare(step: Statement, state: StageState): void {
    for (const [name, preset] of argsOf(step, state.lookup, this.plan.escapeChar)) {
      this.unusedArgs.delete(name);
      const given = this.wish.buildArgs.get(name);
      const value = given ?? preset ?? this.plan.globals.get(name) ?? platformArgs().get(name);
      if (value !== undefined) state.args.set(name, value);
    }
  }

  private run(step: Statement, state: StageState): Change {
    const run = runOf(step, state);
    const proxyEnv = [...this.wish.buildArgs]
      .filter(([name]) => isProxy(name) && !state.args.has(name))
      .map(([name, value]) => `${name}=${value}`);
    const { signal, reporter } = this.wish;
    const options = { proxyEnv, signal, output: (bytes: Buffer) => reporter.output(bytes) };
    return { key: ["RUN", run], make: (bench) => execute(this.workshop, bench, run, options) };
  }

  private async copy(step: Statement, state: StageState, { sources }: Stage): Promise<Change> {
    const from = sources.get(step);
    const tree = from === undefined ? this.wish.context : await this.tree(from);
    const copy = await copyOf(step, state, this.plan.escapeChar, tree, from === undefined);
    if (copy.mode !== undefined && copy.sources.some(({ kind }) => kind === "archive")) {
      const why = "--chmod is not for what an archive is unpacked to: that has the modes that the archive says";
      this.wish.reporter.warn(new BuildError(step, why).message);
    }
    return { key: [step.keyword, copyKey(copy)], make: (bench) => copyInto(this.workshop, bench, copy, tree) };
  }

  /** The files of a stage or an image. */
  private async tree(from: Base): Promise<SourceTree> {
    const config = await this.start(from);
    const what =
      from.kind === "stage"
        ? `stage ${this.nameOf(from.index)}`
        : `the image ${from.kind === "image" ? from.name : ""}`;
    return await this.workshop.view(config?.rootfs.diff_ids ?? [], what);
  }

  private nameOf(index: number): string {
    return this.plan.stages.find((stage) => stage.index === index)?.name ?? String(index);
  }

  /** WORKDIR makes the directory, which is the user's, if it is missing. */
  private workingDirectory(state: StageState): Change {
    const { User: user = "" } = state.config;
    state.config = { ...state.config, WorkingDir: posix.resolve("/", state.workingDirectory) };
    const { workingDirectory } = state;
    return {
      key: ["WORKDIR", workingDirectory, user],
      make: async (bench) => {
        await this.workshop.mounter.mount(bench.union);
        const view = new RootView(bench.merged);
        try {
          if (view.stat(workingDirectory)?.isDirectory !== true)
            view.makeDirectory(workingDirectory, resolveUser(view, user));
        } finally {
          view.close();
        }
      },
    };
  }

  /** Takes a step from the cache, or makes it and puts it there. */
  private async change(step: Statement, state: StageState, { key: parts, make }: Change): Promise<void> {
    const { epoch, cached, signal, reporter } = this.wish;
    const key = keyOf(state.layers, epoch ?? null, parts);
    const known = cached ? await this.known(key) : undefined;
    if (known !== undefined) {
      state.noteLayer(step.source, known.created, known.layer);
      reporter.ends({ kind: "cached", layer: known.layer });
      return;
    }
    const layer = await this.workshop.change(state.layers, epoch, make);
    signal.throwIfAborted();
    for (const warning of layer?.warnings ?? []) reporter.warn(warning);
    const diffId = layer?.record.diffId;
    const record = {
      schema: 1,
      key,
      instruction: step.source,
      created: this.now(),
      ...(diffId !== undefined && { layer: diffId }),
    } as const;
    await storeStep(this.root, record, layer, () => this.workshop.hold(diffId === undefined ? [] : [diffId]));
    state.noteLayer(step.source, record.created, diffId);
    reporter.ends({ kind: "done", layer: diffId, size: layer?.record.size ?? 0 });
  }

  private known(key: string) {
    return withLock(this.root, storeLock, () => {
      const step = findStep(this.root, key);
      if (step?.layer !== undefined) this.workshop.hold([step.layer]);
      return step;
    });
  }
}

/** An instruction of ONBUILD. */
function checkTrigger(trigger: Statement): void {
  checkStep(trigger);
  if (trigger.flags.some(([name]) => name === "from"))
    throw new BuildError(trigger, "ONBUILD COPY takes no --from here");
}
