import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { unusedBases } from "../../store/bases.js";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { imageUsers } from "../../store/image-users.js";
import { readConfig, readImage, readNames, removeUnused, writeNames } from "../../store/images.js";
import { keptLayers } from "../../store/layer-users.js";
import { layerDirectory, readLayer } from "../../store/layers.js";
import { storeLock, withLock } from "../../store/lock.js";
import { digestHex, shortId } from "../../store/names.js";
import type { ImageRecord } from "../../store/records.js";
import { makeTemporary } from "../../store/temporary.js";
import { type Finding, putAside } from "./finding.js";
import { isAtWork } from "./temporaries.js";

/** What is whole of the images and layers, and what is not. Read while the store lock is held. */
interface Stock {
  readonly images: ReadonlyMap<string, ImageRecord>;
  /** Images that cannot be used, with the reason. */
  readonly badImages: ReadonlyMap<string, string>;
  readonly layers: ReadonlySet<string>;
  readonly badLayers: ReadonlyMap<string, string>;
  /** The layers that an image names, a bad one too if it says, or a build has. */
  readonly named: ReadonlySet<string>;
}

function digestsIn(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /^[0-9a-f]{64}$/.test(name))
    .map((hex) => `sha256:${hex}`);
}

function stockOf(root: DataRoot): Stock {
  const images = new Map<string, ImageRecord>();
  const badImages = new Map<string, string>();
  const layers = new Set<string>();
  const badLayers = new Map<string, string>();
  const named = new Set<string>(keptLayers(root));
  for (const id of digestsIn(root.images)) {
    try {
      const record = readImage(root, id);
      for (const layer of record.layers) named.add(layer);
      for (const layer of readConfig(root, id).rootfs.diff_ids) named.add(layer);
      images.set(id, record);
    } catch (error) {
      badImages.set(id, said(error));
    }
  }
  for (const diffId of digestsIn(root.layers)) {
    try {
      readLayer(root, diffId);
      const tree = join(layerDirectory(root, diffId), "tree");
      if (statSync(tree, { throwIfNoEntry: false })?.isDirectory() !== true)
        throw new StoreError("its tree is missing");
      layers.add(diffId);
    } catch (error) {
      badLayers.set(diffId, said(error));
    }
  }
  return { images, badImages, layers, badLayers, named };
}

function said(error: unknown): string {
  if (!(error instanceof StoreError)) throw error;
  return error.message;
}

/** Names that lead nowhere, images without their layers or configuration, layers and base trees without images, and damaged records. */
export async function checkImages(root: DataRoot): Promise<Finding[]> {
  // A layer comes a moment before its image: whoever brings it is at work on something then.
  const isBusy = await isAtWork(root, /^(layer|image|load|import|commit|build)/);
  return await withLock(root, storeLock, () => {
    const stock = stockOf(root);
    return [
      ...checkNames(root, stock),
      ...badImages(root, stock),
      ...badLayers(root, stock, isBusy),
      ...looseBases(root, stock),
    ];
  });
}

function checkNames(root: DataRoot, { images, badImages }: Stock): Finding[] {
  let names: Readonly<Record<string, string>>;
  try {
    names = readNames(root);
    if (typeof names !== "object" || names === null) throw new StoreError("images/names.json holds no names");
  } catch (error) {
    return [
      {
        what: "images/names.json",
        problem: said(error),
        remedy: "put it aside: the images stay, without names, and cowfs image tag gives them new ones",
        repair: () => putAside(join(root.images, "names.json")),
      },
    ];
  }
  const lost = Object.entries(names).filter(([, id]) => !images.has(id) && !badImages.has(id));
  return lost.map(([name, id]) => ({
    what: `image name ${name}`,
    problem: `it stands for ${shortId(id)}, which is not there`,
    remedy: "remove the name",
    repair: () =>
      withLock(root, storeLock, () => {
        const { [name]: now, ...others } = readNames(root);
        if (now === id && !existsSync(join(root.images, digestHex(id)))) writeNames(root, others);
      }),
  }));
}

function badImages(root: DataRoot, { images, badImages: bad, layers }: Stock): Finding[] {
  const users = imageUsers(root);
  const unusable = [...bad].map(([id, problem]): Finding => {
    const user = users.find(({ image }) => image === id);
    if (user !== undefined) {
      return {
        what: `image ${shortId(id)}`,
        problem,
        remedy: `the container ${user.name} needs it: save its files (its writable layer is whole), remove it, and check again`,
      };
    }
    return {
      what: `image ${shortId(id)}`,
      problem,
      remedy: "put it aside, so that it can be loaded again",
      repair: () => putAside(join(root.images, digestHex(id))),
    };
  });
  const incomplete = [...images.values()].flatMap(({ id, layers: wanted }): Finding[] => {
    const missing = wanted.filter((diffId) => !layers.has(diffId));
    if (missing.length === 0) return [];
    return [
      {
        what: `image ${shortId(id)}`,
        problem: `${missing.length} of its layers ${missing.length === 1 ? "is" : "are"} not there: ${missing.map(shortId).join(", ")}`,
        remedy: "load the image again, which brings them back, or remove it (cowfs image rm)",
      },
    ];
  });
  return [...unusable, ...incomplete];
}

function badLayers(
  root: DataRoot,
  { layers, badLayers: bad, named, badImages: damaged }: Stock,
  isBusy: boolean,
): Finding[] {
  // What a damaged image names is not known.
  const loose = isBusy || damaged.size > 0 ? [] : [...layers].filter((diffId) => !named.has(diffId));
  return [
    ...loose.map((diffId) => ({
      what: `layer ${shortId(diffId)}`,
      problem: "no image has it",
      remedy: "remove it",
      repair: () => removeLoose(root, [diffId]),
    })),
    ...[...bad].map(([diffId, problem]) => ({
      what: `layer ${shortId(diffId)}`,
      problem,
      remedy: "put it aside, so that loading an image that has it brings it back",
      repair: () => putAside(layerDirectory(root, diffId)),
    })),
  ];
}

/** Whole trees for containers, of images that there are no more. */
function looseBases(root: DataRoot, { images, badImages: damaged }: Stock): Finding[] {
  if (damaged.size > 0) return [];
  return unusedBases(root, [...images.values()]).map((path) => ({
    what: path.slice(root.path.length + 1),
    problem: "no image has its layers",
    remedy: "remove it",
    repair: () => removeLoose(root, []),
  }));
}

async function removeLoose(root: DataRoot, layers: readonly string[]): Promise<void> {
  const temporary = await makeTemporary(root, "gone");
  try {
    await withLock(root, storeLock, () => {
      removeUnused(root, layers, temporary.path);
    });
  } finally {
    temporary.dispose();
  }
}
