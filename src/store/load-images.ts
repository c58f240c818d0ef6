/** Brings images into the data root from archives that docker, podman, skopeo and others write. */
import { fstatSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { errnoName } from "../errno.js";
import { O_CREAT, O_EXCL, O_RDWR } from "../native/constants.js";
import { native } from "../native/index.js";
import { LayerTeam } from "./archive/build-layer.js";
import { DirectoryFiles, type ImageFiles, openInput, readPipe, TarFiles } from "./archive/image-files.js";
import { type PlannedImage, type PlannedLayer, planImages } from "./archive/image-plan.js";
import { ownPlatform, type Platform } from "./archive/platform.js";
import { isCompressed, readSource } from "./archive/read-source.js";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import { imageId, LayersMissingError, storeImage } from "./images.js";
import { checkInterruption } from "./interruption.js";
import { type BuiltLayer, hasLayer } from "./layers.js";
import { digestHex } from "./names.js";
import { synced } from "./synced.js";
import { makeTemporary, type Temporary } from "./temporary.js";

/** What happens to a layer. Several are built at once, so events of different layers alternate. */
export type LoadEvent =
  | { readonly kind: "exists"; readonly diffId: string }
  /** `total` bytes of the archive are to be read. */
  | { readonly kind: "begins"; readonly diffId: string; readonly total: number }
  | { readonly kind: "progress"; readonly diffId: string; readonly read: number }
  | { readonly kind: "built"; readonly diffId: string; readonly size: number }
  | { readonly kind: "warning"; readonly diffId: string; readonly message: string };

export interface LoadOptions {
  /** Default: that of this machine. */
  readonly platform?: Platform;
  readonly tell?: (event: LoadEvent) => void;
}

/** An image that is now there. */
export interface LoadedImage {
  readonly id: string;
  readonly names: readonly string[];
}

/**
 * Loads all images of an archive or directory; `path` undefined is the standard input. All that is in it is verified by its digests. Layers that
 * are there already are not read. Throws StoreError; what had not been complete by then does not appear.
 */
export async function loadImages(
  root: DataRoot,
  path: string | undefined,
  { platform, tell = () => {} }: LoadOptions = {},
): Promise<LoadedImage[]> {
  const temporary = await makeTemporary(root, "load");
  try {
    const files = await openImageFiles(path, temporary);
    try {
      const images = planImages(files, platform ?? ownPlatform(), platform !== undefined);
      const builder = new ImageLayers(root, temporary, tell);
      const loaded: LoadedImage[] = [];
      await builder.build(images.flatMap(({ layers }) => layers));
      for (const image of images) loaded.push(await store(root, image, builder));
      return loaded;
    } finally {
      files.close();
    }
  } finally {
    temporary.dispose();
  }
}

async function store(root: DataRoot, image: PlannedImage, builder: ImageLayers): Promise<LoadedImage> {
  const { configBytes, names, layers } = image;
  for (let attempt = 0; ; attempt++) {
    try {
      await storeImage(root, configBytes, names, { layers: builder.builtOf(layers) });
      return { id: imageId(configBytes), names };
    } catch (error) {
      // Somebody removed a layer that was there when we looked: then it is built after all.
      if (!(error instanceof LayersMissingError) || attempt === 3) throw error;
      await builder.build(layers);
    }
  }
}

/** The layers that a load builds, several at once. */
class ImageLayers {
  private readonly built = new Map<string, BuiltLayer>();

  constructor(
    private readonly root: DataRoot,
    private readonly temporary: Temporary,
    private readonly tell: (event: LoadEvent) => void,
  ) {}

  builtOf(layers: readonly PlannedLayer[]): BuiltLayer[] {
    return layers.flatMap(({ diffId }) => this.built.get(diffId) ?? []);
  }

  /** Builds those that are not there yet, and syncs them together. Throws StoreError. */
  async build(layers: readonly PlannedLayer[]): Promise<void> {
    const wanted = new Map<string, PlannedLayer>();
    const existing = new Set<string>();
    for (const layer of layers) {
      const { diffId } = layer;
      if (wanted.has(diffId) || existing.has(diffId) || this.built.has(diffId)) continue;
      if (!hasLayer(this.root, diffId)) wanted.set(diffId, layer);
      else {
        existing.add(diffId);
        this.tell({ kind: "exists", diffId });
      }
    }
    if (wanted.size === 0) return;
    await synced(this.temporary.path, () => this.buildAll(wanted));
  }

  private async buildAll(wanted: ReadonlyMap<string, PlannedLayer>): Promise<void> {
    // The largest first: so none is left to run alone at the end.
    const queue = [...wanted.values()].sort((a, b) => b.source.length - a.source.length);
    for (const { diffId, source } of wanted.values()) this.tell({ kind: "begins", diffId, total: source.length });
    const count = Math.min(availableParallelism(), queue.length);
    const share = availableParallelism() < 2 * count ? 2 : 1;
    const teams = Array.from({ length: Math.ceil(count / share) }, (_, index) => new LayerTeam(index === 0));
    const work = Array.from({ length: count }, (_, index) =>
      this.work(queue, teams[Math.floor(index / share)] as LayerTeam),
    );
    const results = await Promise.allSettled(work);
    await Promise.all(teams.map((team) => team.end()));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  private async work(queue: PlannedLayer[], team: LayerTeam): Promise<void> {
    try {
      for (let layer = queue.shift(); layer !== undefined; layer = queue.shift()) {
        const { diffId, source, blobDigest } = layer;
        const built = await team.build(join(this.temporary.path, digestHex(diffId)), source, {
          expectedDiffId: diffId,
          ...(blobDigest !== undefined && { expectedBlobDigest: blobDigest }),
          progress: (read) => this.tell({ kind: "progress", diffId, read }),
        });
        this.built.set(diffId, built);
        this.tell({ kind: "built", diffId, size: built.record.size });
        for (const message of built.warnings) this.tell({ kind: "warning", diffId, message });
      }
    } catch (error) {
      queue.length = 0;
      throw error;
    }
  }
}

/** Opens what is to be loaded; what is compressed as a whole, or comes through a pipe, is first put down in the temporary. */
async function openImageFiles(path: string | undefined, temporary: Temporary): Promise<ImageFiles> {
  const shown = path ?? "the standard input";
  const { fd, isDirectory } = openInput(path);
  if (isDirectory) return new DirectoryFiles(fd, shown);
  return openArchive(fd, shown, temporary);
}

async function openArchive(fd: number, shown: string, temporary: Temporary): Promise<ImageFiles> {
  const stat = fstatSync(fd);
  const source = { fd, offset: 0, length: stat.size };
  if (stat.isFile() && !isCompressed(source)) return new TarFiles(fd, shown, stat.size);
  try {
    const spool = native.open(
      -100,
      Buffer.from(join(temporary.path, "archive"), "utf8").toString("latin1"),
      O_RDWR | O_CREAT | O_EXCL,
      0o600,
    );
    if (spool < 0) throw new StoreError(`${shown} cannot be put down: ${errnoName(spool)}`);
    const piece = Buffer.allocUnsafeSlow(1024 * 1024);
    let size = 0;
    await readSource(stat.isFile() ? source : readPipe(fd), {
      take: () => piece,
      send: (_, length) => {
        checkInterruption();
        const written = native.pwrite(spool, piece, 0, length, size);
        if (written !== length)
          throw new StoreError(`${shown} cannot be put down: ${errnoName(written < 0 ? written : 28)}`);
        size += length;
      },
      progress: () => {},
    });
    return new TarFiles(spool, shown, size);
  } finally {
    native.close(fd);
  }
}
