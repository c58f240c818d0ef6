/** The stages of a Dockerfile, and which of them a target needs. Whatever can be found wrong before anything is built is found here. */
import { matches, ownPlatform, parsePlatform, showPlatform } from "../store/archive/platform.js";
import { StoreError } from "../store/error.js";
import { at, BuildError } from "./build-error.js";
import { checkStep } from "./check-step.js";
import type { Dockerfile, Statement } from "./dockerfile.js";
import { expand, splitWords } from "./expand.js";

/** What a stage starts from, or files are copied from. */
export type Base =
  | { readonly kind: "scratch" }
  | { readonly kind: "stage"; readonly index: number }
  | { readonly kind: "image"; readonly name: string };

export interface Stage {
  readonly index: number;
  /** In lower case. */
  readonly name: string | undefined;
  readonly from: Statement;
  readonly base: Base;
  readonly steps: readonly Statement[];
  /** What `COPY --from` of each step means. */
  readonly sources: ReadonlyMap<Statement, Base>;
}

export interface BuildPlan {
  readonly escapeChar: string;
  /** Those that are needed, in their order; the last one is the target. */
  readonly stages: readonly Stage[];
  /** Values of ARG instructions before the first FROM, for stages that ask for them. */
  readonly globals: ReadonlyMap<string, string>;
}

/** Variables that are there without an ARG instruction, in FROM; a stage asks for them by ARG. */
export function platformArgs(): Map<string, string> {
  const platform = ownPlatform();
  const shown = showPlatform(platform);
  const sides = ["BUILD", "TARGET"].flatMap((side): [string, string][] => [
    [`${side}PLATFORM`, shown],
    [`${side}OS`, platform.os],
    [`${side}ARCH`, platform.architecture],
    [`${side}VARIANT`, platform.variant ?? ""],
  ]);
  return new Map(sides);
}

/** Throws BuildError, and StoreError if the target is missing. */
export function planBuild(
  { statements, escapeChar }: Dockerfile,
  buildArgs: ReadonlyMap<string, string>,
  target: string | undefined,
): BuildPlan {
  const first = statements.findIndex(({ keyword }) => keyword === "FROM");
  const before = first < 0 ? statements : statements.slice(0, first);
  const globals = new Map<string, string>();
  const lookup = (name: string): string | undefined => globals.get(name) ?? platformArgs().get(name);
  for (const statement of before) {
    if (statement.keyword !== "ARG")
      throw new BuildError(statement, "only ARG may stand before the first FROM, which says what to build on");
    for (const [name, value] of argsOf(statement, lookup, escapeChar)) {
      const given = buildArgs.get(name) ?? value;
      if (given !== undefined) globals.set(name, given);
    }
  }
  const stages: Stage[] = [];
  for (const [index, statement] of statements.entries()) {
    if (statement.keyword !== "FROM") continue;
    const next = statements.findIndex(({ keyword }, other) => other > index && keyword === "FROM");
    const steps = statements.slice(index + 1, next < 0 ? undefined : next);
    stages.push(stageOf(statement, steps, stages, lookup, escapeChar));
  }
  const last = stages.at(-1);
  if (last === undefined)
    throw new BuildError(statements[0] as Statement, "FROM is missing, which says what to build on");
  return { escapeChar, stages: needed(stages, targetOf(stages, target) ?? last), globals };
}

/** The names that an ARG instruction declares, with their defaults. Throws BuildError. */
export function argsOf(
  statement: Statement,
  lookup: (name: string) => string | undefined,
  escapeChar: string,
): [name: string, value: string | undefined][] {
  return at(statement, () =>
    splitWords(statement.rest, escapeChar).map((word) => {
      const equals = word.indexOf("=");
      const name = expand(equals < 0 ? word : word.slice(0, equals), lookup, escapeChar);
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        throw new StoreError(`ARG takes NAME or NAME=VALUE, and ${JSON.stringify(word)} is neither`);
      return [name, equals < 0 ? undefined : expand(word.slice(equals + 1), lookup, escapeChar)];
    }),
  );
}

function stageOf(
  from: Statement,
  steps: readonly Statement[],
  before: readonly Stage[],
  lookup: (name: string) => string | undefined,
  escapeChar: string,
): Stage {
  const [written = "", as, name, ...more] = from.rest.split(/\s+/);
  if (more.length > 0 || (as !== undefined && (as.toUpperCase() !== "AS" || name === undefined)))
    throw new BuildError(from, "FROM takes IMAGE, or IMAGE AS NAME");
  if (name !== undefined && !/^[a-z][a-z0-9-_.]*$/i.test(name)) {
    throw new BuildError(from, `the stage name ${name} is invalid: a letter, then letters, digits and - _ .`);
  }
  const word = at(from, () => expand(written, lookup, escapeChar));
  if (word === "") throw new BuildError(from, `the image is missing: ${written} has no value`);
  checkPlatform(from, lookup, escapeChar);
  const index = before.length;
  const stage = before.findLast((one) => one.name === word.toLowerCase());
  const base: Base =
    stage !== undefined
      ? { kind: "stage", index: stage.index }
      : word === "scratch"
        ? { kind: "scratch" }
        : { kind: "image", name: word };
  const own = name?.toLowerCase();
  const sources = new Map<Statement, Base>();
  for (const step of steps) {
    checkStep(step);
    const source = step.flags.find(([flag]) => flag === "from")?.[1];
    if (source !== undefined) sources.set(step, sourceOf(step, source, before, own));
  }
  return { index, name: own, from, base, steps, sources };
}

function checkPlatform(from: Statement, lookup: (name: string) => string | undefined, escapeChar: string): void {
  for (const [flag, value] of from.flags) {
    if (flag !== "platform" || value === undefined)
      throw new BuildError(from, `--${flag} is no flag of FROM: there is --platform=OS/ARCHITECTURE`);
    const wanted = at(from, () => parsePlatform(expand(value, lookup, escapeChar)));
    if (!matches(ownPlatform(), wanted))
      throw new BuildError(from, `only for this machine's platform can be built, ${showPlatform(ownPlatform())}`);
  }
}

function sourceOf(step: Statement, word: string, before: readonly Stage[], own: string | undefined): Base {
  if (word.includes("$"))
    throw new BuildError(step, "--from takes no variables: give the image a name by FROM … AS NAME before, which does");
  if (word.toLowerCase() === own || word === String(before.length))
    throw new BuildError(step, "--from names the stage that it stands in");
  const stage = before.findLast(({ name, index }) => name === word.toLowerCase() || String(index) === word);
  if (stage !== undefined) return { kind: "stage", index: stage.index };
  if (/^\d+$/.test(word)) {
    throw new BuildError(
      step,
      `there is no stage ${word} before this one: they are counted from 0, and ${before.length} stand before it`,
    );
  }
  return { kind: "image", name: word };
}

function targetOf(stages: readonly Stage[], target: string | undefined): Stage | undefined {
  if (target === undefined) return undefined;
  const found = stages.findLast(({ name, index }) => name === target.toLowerCase() || String(index) === target);
  if (found !== undefined) return found;
  const names = stages.map(({ name, index }) => name ?? `${index} (without a name)`);
  throw new StoreError(`there is no stage ${target} to build: the stages are ${names.join(", ")}`);
}

function needed(stages: readonly Stage[], target: Stage): Stage[] {
  const wanted = new Set<number>([target.index]);
  for (const { index, base, sources } of [...stages].reverse()) {
    if (!wanted.has(index)) continue;
    for (const other of [base, ...sources.values()]) if (other.kind === "stage") wanted.add(other.index);
  }
  return stages.filter(({ index }) => wanted.has(index));
}
