import type { CachedStep } from "./build-cache.js";
import { listSteps, takeSteps } from "./build-cache.js";
import type { DataRoot } from "./data-root.js";
import { listImages, removeUnused } from "./images.js";
import { storeLock, withLock } from "./lock.js";
import { makeTemporary } from "./temporary.js";

export interface PrunedCache {
  readonly steps: readonly CachedStep[];
  /** The layers that nobody had but these steps. */
  readonly layers: readonly string[];
}

/** Which of the steps a prune takes: those whose layer no image has, or with `all` each of them. */
export function prunableSteps(root: DataRoot, all: boolean): CachedStep[] {
  const inImages = new Set(listImages(root).flatMap(({ layers }) => layers));
  return listSteps(root).filter(({ layer }) => all || layer === undefined || !inImages.has(layer));
}

/** Forgets steps that `prunableSteps` and `mayGo` name, and removes their layers unless an image or a running build has them. Throws StoreError. */
export async function pruneBuildCache(
  root: DataRoot,
  all: boolean,
  mayGo: (step: CachedStep) => boolean,
): Promise<PrunedCache> {
  const temporary = await makeTemporary(root, "gone");
  try {
    return await withLock(root, storeLock, () => {
      const steps = prunableSteps(root, all).filter(mayGo);
      takeSteps(
        root,
        steps.map(({ key }) => key),
        temporary.path,
      );
      const layers = steps.flatMap(({ layer }) => layer ?? []);
      return { steps, layers: removeUnused(root, layers, temporary.path).layers };
    });
  } finally {
    temporary.dispose();
  }
}
