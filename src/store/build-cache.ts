/**
 * The cache of builds: what each step made, by a key of all that decides it: what it starts from, its instruction, and the content that it takes.
 * A step that left a layer has it, as an image does.
 */
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory, writeJson } from "./atomic.js";
import { type DataRoot, reason } from "./data-root.js";
import { StoreError } from "./error.js";
import { type BuiltLayer, hasLayer, publishLayers } from "./layers.js";
import { storeLock, withLock } from "./lock.js";
import type { BuildStepRecord } from "./records.js";

/** A step that was made; `key` is 64 hexadecimal digits. */
export type CachedStep = BuildStepRecord & { readonly key: string };

export function stepFile(root: DataRoot, key: string): string {
  return join(root.buildCache, `${key}.json`);
}

/** The step of a key, if it is there with its layer; one that cannot be read is none, and is made anew. Throws StoreError. */
export function findStep(root: DataRoot, key: string): CachedStep | undefined {
  const step = readStep(root, key);
  return step?.layer === undefined || hasLayer(root, step.layer) ? step : undefined;
}

function readStep(root: DataRoot, key: string): CachedStep | undefined {
  const path = stepFile(root, key);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
  let step: BuildStepRecord | null;
  try {
    step = JSON.parse(text) as BuildStepRecord | null;
  } catch {
    // It is worth no more than the time that the step takes.
    return undefined;
  }
  const isWhole = step?.schema === 1 && typeof step.created === "string" && typeof step.instruction === "string";
  const isLayer = step?.layer === undefined || /^sha256:[0-9a-f]{64}$/.test(step.layer);
  return step !== null && isWhole && isLayer ? { ...step, key } : undefined;
}

/** All steps, whether their layers are there or not, the newest first. Throws StoreError. */
export function listSteps(root: DataRoot): CachedStep[] {
  return readdirSync(root.buildCache)
    .filter((name) => /^[0-9a-f]{64}\.json$/.test(name))
    .flatMap((name) => readStep(root, name.slice(0, 64)) ?? [])
    .sort((a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : a.key < b.key ? -1 : 1));
}

/** Publishes a step with its layer; `published` is called while the store lock is held. */
export async function storeStep(
  root: DataRoot,
  { key, ...record }: CachedStep,
  layer: BuiltLayer | undefined,
  published: () => void,
): Promise<void> {
  await withLock(root, storeLock, () => {
    if (layer !== undefined) publishLayers(root, [layer]);
    writeJson(stepFile(root, key), record satisfies BuildStepRecord);
    published();
  });
}

/** Moves steps to the directory `into`; those that are gone are passed over. The store lock must be held. */
export function takeSteps(root: DataRoot, keys: readonly string[], into: string): void {
  for (const key of keys) {
    try {
      renameSync(stepFile(root, key), join(into, `${key}.json`));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    }
  }
  syncDirectory(root.buildCache);
}
