import { existsSync } from "node:fs";
import { driverOf } from "../../assemble/drivers/choose.js";
import { type BaseTree, baseTrees, chainHex } from "../../store/bases.js";
import { type CachedStep, listSteps } from "../../store/build-cache.js";
import { listContainers, placesOf, readState } from "../../store/containers.js";
import type { DataRoot } from "../../store/data-root.js";
import type { NamedImage } from "../../store/images.js";
import { hasLayer, readLayer } from "../../store/layers.js";
import type { ContainerRecord, ContainerState, VolumeRecord } from "../../store/records.js";
import { treeSize } from "../../store/tree-size.js";
import { volumeData } from "../../store/volume-places.js";
import { listVolumes, localDriver } from "../../store/volume-records.js";
import { containersByVolume } from "../../store/volume-users.js";
import { type StoredImage, storedImages } from "../image/stored.js";

export interface ContainerUsage {
  readonly record: ContainerRecord;
  readonly state: ContainerState;
  /** Of the writable layer. */
  readonly size: number;
}

export interface VolumeUsage {
  readonly record: VolumeRecord;
  readonly size: number;
  /** The names of the containers that use it. */
  readonly users: readonly string[];
}

/** What lies in the data root, and what it weighs. */
export interface Usage {
  readonly images: readonly StoredImage[];
  readonly containers: readonly ContainerUsage[];
  readonly volumes: readonly VolumeUsage[];
  readonly buildCache: readonly CacheUsage[];
  readonly baseTrees: readonly BaseUsage[];
}

/** A whole tree of an image, of the storage drivers that have no union. */
export interface BaseUsage {
  readonly base: BaseTree;
  /** Files that share blocks with layers count whole. */
  readonly size: number;
  /** The names of the containers that are copies of it. */
  readonly containers: readonly string[];
  /** Whether it goes with images that no container is made of. */
  readonly isReclaimable: boolean;
}

/** A step of a build in the cache. */
export interface CacheUsage {
  readonly step: CachedStep;
  /** Of its layer. */
  readonly size: number;
  /** Whether an image has the layer: then forgetting the step frees nothing. */
  readonly isShared: boolean;
}

/** Walks over all writable layers and volumes; layers of images have their sizes on record. What is removed meanwhile is left out. */
export async function usageOf(root: DataRoot): Promise<Usage> {
  const users = containersByVolume(root);
  const images = storedImages(root);
  return {
    images,
    buildCache: cacheUsage(root, images),
    baseTrees: baseUsage(root, images),
    containers: await containerUsages(root),
    // What plugins keep does not lie in the data root.
    volumes: listVolumes(root)
      .filter(({ driver }) => driver === localDriver)
      .map((record) => ({
        record,
        size: treeSize(volumeData(root, record.name)),
        users: users.get(record.name) ?? [],
      })),
  };
}

async function containerUsages(root: DataRoot): Promise<ContainerUsage[]> {
  const usages: ContainerUsage[] = [];
  for (const record of listContainers(root)) {
    try {
      const state = readState(root, record.id);
      usages.push({ record, state, size: await driverOf(record).size(root, record) });
    } catch (error) {
      if (existsSync(placesOf(root, record.id).config)) throw error;
    }
  }
  return usages;
}

function baseUsage(root: DataRoot, images: readonly StoredImage[]): BaseUsage[] {
  const bases = baseTrees(root, images);
  if (bases.length === 0) return [];
  const used = new Set(images.filter(({ containers }) => containers.length > 0).map(({ id }) => id));
  const chains = new Map(images.map(({ id, layers }) => [id, chainHex(layers)]));
  const copies = listContainers(root).map(({ name, image, driver }) => ({ name, driver, hex: chains.get(image.id) }));
  return bases.map((base) => ({
    base,
    size: base.size,
    containers: copies.flatMap(({ name, driver, hex }) => (driver === base.driver && hex === base.hex ? [name] : [])),
    isReclaimable: !base.images.some((id) => used.has(id)),
  }));
}

/** What the cache of builds holds beside `images`. */
export function cacheUsage(root: DataRoot, images: readonly NamedImage[]): CacheUsage[] {
  const inImages = new Set(images.flatMap(({ layers }) => layers));
  return listSteps(root).map((step) => {
    const { layer } = step;
    const isHere = layer !== undefined && hasLayer(root, layer);
    return {
      step,
      size: isHere ? readLayer(root, layer).size : 0,
      isShared: layer !== undefined && inImages.has(layer),
    };
  });
}

/** One kind of things: how many, how many of them in use, their size, and what of it a prune would free. */
export interface Summary {
  readonly type: string;
  readonly total: number;
  readonly active: number;
  readonly size: number;
  readonly reclaimable: number;
}

/** A line for each kind. A layer counts once, and can be freed if all images that have it are unused. */
export function summaries({ images, containers, volumes, buildCache, baseTrees: bases }: Usage): Summary[] {
  const layers = new Map<string, { size: number; isUsed: boolean }>();
  for (const image of images) {
    for (const { diffId, size } of image.records) {
      const isUsed = image.containers.length > 0 || layers.get(diffId)?.isUsed === true;
      layers.set(diffId, { size, isUsed });
    }
  }
  const all = [...layers.values()];
  // What an image has is counted there; several steps may have left the same layer.
  const own = [...new Map(buildCache.map((one) => [one.step.layer, one])).values()].filter(({ isShared }) => !isShared);
  const isRunning = ({ state }: ContainerUsage): boolean => state.status === "running";
  const isUsed = ({ users }: VolumeUsage): boolean => users.length > 0;
  return [
    {
      type: "Images",
      total: images.length,
      active: images.filter((image) => image.containers.length > 0).length,
      size: total(all),
      reclaimable: total(all.filter((layer) => !layer.isUsed)),
    },
    {
      type: "Containers",
      total: containers.length,
      active: containers.filter(isRunning).length,
      size: total(containers),
      reclaimable: total(containers.filter((container) => !isRunning(container))),
    },
    {
      type: "Local Volumes",
      total: volumes.length,
      active: volumes.filter(isUsed).length,
      size: total(volumes),
      reclaimable: total(volumes.filter((volume) => !isUsed(volume))),
    },
    {
      type: "Build Cache",
      total: buildCache.length,
      active: buildCache.filter(({ isShared }) => isShared).length,
      size: total(own),
      reclaimable: total(own),
    },
    // Only some storage drivers have such.
    ...(bases.length === 0 ? [] : [baseSummary(bases)]),
  ];
}

function baseSummary(bases: readonly BaseUsage[]): Summary {
  return {
    type: "Base Trees",
    total: bases.length,
    active: bases.filter(({ containers }) => containers.length > 0).length,
    size: total(bases),
    reclaimable: total(bases.filter(({ isReclaimable }) => isReclaimable)),
  };
}

function total(things: readonly { readonly size: number }[]): number {
  return things.reduce((sum, { size }) => sum + size, 0);
}
