/** Where a build works: a temporary of the data root, in which unions of layers are mounted, and the layers that must stay meanwhile. */
import { lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { launchPlaces, undoLaunch } from "../assemble/launch.js";
import { withoutMounts } from "../assemble/merged.js";
import { skeletonLayer, type UnionMounter, type UnionPlan, unmountUnion } from "../assemble/union.js";
import { errnoName } from "../errno.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { buildLayer } from "../store/archive/build-layer.js";
import { layerTarChunks } from "../store/archive/layer-tar.js";
import { readAttributes } from "../store/archive/quick-manifest.js";
import type { DataRoot } from "../store/data-root.js";
import { StoreError, undoAfter } from "../store/error.js";
import { removeUnused } from "../store/images.js";
import { holdLayers } from "../store/layer-users.js";
import { type BuiltLayer, layerTrees } from "../store/layers.js";
import { storeLock, withLock } from "../store/lock.js";
import { makeTemporary, removeTree, type Temporary } from "../store/temporary.js";
import { bytesOf } from "../text.js";
import { SourceTree } from "./source-tree.js";

/** A union that is to be mounted for a step, or is. */
export interface Bench {
  /** What the processes in it are known by to a runtime. */
  readonly id: string;
  readonly path: string;
  readonly merged: string;
  readonly bundle: string;
  readonly upper: string;
  readonly union: UnionPlan;
}

export class Workshop {
  private readonly held = new Set<string>();
  /** Trees that files are copied from, by their layers. */
  private readonly views = new Map<string, { readonly mountpoint: string; readonly tree: SourceTree }>();
  private count = 0;

  private constructor(
    readonly root: DataRoot,
    readonly mounter: UnionMounter,
    private readonly temporary: Temporary,
  ) {}

  static async open(root: DataRoot, mounter: UnionMounter): Promise<Workshop> {
    return new Workshop(root, mounter, await makeTemporary(root, "build"));
  }

  /** Layers that stay as long as the build runs. The store lock must be held. Throws StoreError if one is gone. */
  hold(layers: readonly string[]): void {
    for (const diffId of layers) this.held.add(diffId);
    holdLayers(this.root, this.temporary.path, [...this.held]);
  }

  /** A new directory for whoever needs one. */
  directory(): string {
    const path = join(this.temporary.path, String(this.count++));
    mkdirSync(path, { mode: 0o711 });
    return path;
  }

  /** The tree that layers make, mounted read-only until the end of the build; `what` is what it is called in messages. Throws. */
  async view(layers: readonly string[], what: string): Promise<SourceTree> {
    const key = layers.join();
    const known = this.views.get(key);
    if (known !== undefined) return known.tree;
    const path = this.directory();
    const mountpoint = join(path, "merged");
    mkdirSync(mountpoint);
    await this.mounter.mount({ lowers: this.lowersOf(layers, path), mountpoint });
    try {
      const tree = new SourceTree(mountpoint, { what, isClosed: false });
      this.views.set(key, { mountpoint, tree });
      return tree;
    } catch (error) {
      return await undoAfter(error, () => unmountUnion(this.mounter, mountpoint));
    }
  }

  private lowersOf(layers: readonly string[], path: string): string[] {
    const trees = layerTrees(this.root, layers);
    if (trees.length > 0) return trees;
    const empty = join(path, "empty");
    mkdirSync(empty, { mode: 0o755 });
    return [empty];
  }

  /**
   * Lets `work` change the tree that layers make: it mounts `bench.union`, and what is mounted and runs is undone when it is through. Returns the layer
   * of what it has changed, to be published before the next step; undefined if that is nothing. Times later than `latest` (seconds) become that.
   */
  async change(
    layers: readonly string[],
    latest: number | undefined,
    work: (bench: Bench) => Promise<void>,
  ): Promise<BuiltLayer | undefined> {
    const bench = await this.bench(layers);
    const before = rootState(bench.upper);
    let layer: BuiltLayer | undefined;
    try {
      await work(bench);
      if (readdirSync(bench.upper).length > 0 || rootState(bench.upper) !== before) {
        layer = await withoutMounts(bench.merged, (merged) =>
          buildLayer(join(bench.path, "layer"), layerTarChunks(bench.upper, { marks: "overlay", merged, latest }), {}),
        );
      }
    } catch (error) {
      return await undoAfter(error, () => undoLaunch(bench, bench.id, this.mounter));
    }
    await undoLaunch(bench, bench.id, this.mounter);
    removeTree(bench.upper);
    return layer;
  }

  private async bench(layers: readonly string[]): Promise<Bench> {
    const path = this.directory();
    const [upper, work, merged] = ["upper", "work", "merged"].map((name) => join(path, name)) as [
      string,
      string,
      string,
    ];
    for (const directory of [upper, work, merged]) mkdirSync(directory, { mode: 0o755 });
    const lowers = this.lowersOf(layers, path);
    const { mode, uid, gid } = lstatSync(lowers[0] as string);
    const done = native.chown(-100, bytesOf(upper), uid, gid) || native.chmod(-100, bytesOf(upper), mode & 0o7777);
    if (done < 0) throw new StoreError(`${upper} cannot be made like the layer below it: ${errnoName(done)}`);
    const union = { lowers: [...lowers, await skeletonLayer(this.root)], upper, work, mountpoint: merged };
    return { ...launchPlaces(path), path, upper, union };
  }

  /** Unmounts and removes everything; what was built and nobody has goes, too. Throws what went wrong first, with everything else done. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    const attempt = async (work: () => void | Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        failures.push(error);
      }
    };
    for (const { mountpoint, tree } of this.views.values()) {
      await attempt(() => tree.close());
      await attempt(() => unmountUnion(this.mounter, mountpoint));
    }
    await attempt(() => this.temporary.dispose());
    // A view that is still mounted has its layers.
    if (failures.length > 0) throw failures[0];
    const gone = await makeTemporary(this.root, "gone");
    try {
      await withLock(this.root, storeLock, () => removeUnused(this.root, [...this.held], gone.path));
    } finally {
      gone.dispose();
    }
  }
}

/** Mode, owner and attributes of a directory, to tell whether they have changed. */
function rootState(path: string): string {
  const { mode, uid, gid } = lstatSync(path);
  const fd = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
  const attributes = fd < 0 ? fd : readAttributes(fd, "");
  if (fd >= 0) native.close(fd);
  if (typeof attributes === "number") throw new StoreError(`${path} cannot be read: ${errnoName(attributes)}`);
  return JSON.stringify([mode, uid, gid, [...(attributes ?? [])]]);
}
