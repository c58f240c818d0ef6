/** Images as archives that other programs load: the layout of `docker save`, and that of the OCI. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { DataRoot } from "../data-root.js";
import { StoreError } from "../error.js";
import { type NamedImage, readConfigBytes } from "../images.js";
import { readLayer } from "../layers.js";
import { digestHex, shortId } from "../names.js";
import { makeTemporary } from "../temporary.js";
import type { ArchiveMember } from "./archive-writer.js";
import { openLayerArchive } from "./layer-archive.js";

export const saveFormats = ["docker-archive", "oci-archive", "oci-dir"] as const;

export interface SaveOptions {
  /** Layers are compressed one by one: for the formats of the OCI. A docker-archive is compressed as a whole, by whoever writes it. */
  readonly gzip: boolean;
  /** Called now and then with the number of bytes of layers that have been read. */
  readonly progress?: (bytes: number) => void;
}

/** The archive that a layer was made of; it ends in a StoreError if its digest is no longer the layer's. */
async function* verifiedLayer(root: DataRoot, diffId: string, { progress }: SaveOptions): AsyncGenerator<Buffer> {
  const digest = createHash("sha256");
  for await (const piece of openLayerArchive(root, diffId) as AsyncIterable<Buffer>) {
    digest.update(piece);
    progress?.(piece.length);
    yield piece;
  }
  if (`sha256:${digest.digest("hex")}` !== diffId) {
    throw new StoreError(
      `the layer ${shortId(diffId)} is no longer what was loaded; cowfs image verify tells what has changed`,
    );
  }
}

/** The layers of images, each once. */
export function layersOf(images: readonly NamedImage[]): string[] {
  return [...new Set(images.flatMap(({ layers }) => layers))];
}

function text(path: string, value: unknown): ArchiveMember {
  const content = Buffer.from(JSON.stringify(value));
  return { path, size: content.length, content };
}

/** The files of a docker-archive; `images` have the names that they are to be loaded with. */
export async function* dockerArchive(
  root: DataRoot,
  images: readonly NamedImage[],
  options: SaveOptions,
): AsyncGenerator<ArchiveMember> {
  const layerPath = (diffId: string): string => `${digestHex(diffId)}.tar`;
  for (const diffId of layersOf(images)) {
    const { archiveSize } = readLayer(root, diffId);
    yield { path: layerPath(diffId), size: archiveSize, content: () => verifiedLayer(root, diffId, options) };
  }
  for (const { id } of images) {
    const content = readConfigBytes(root, id);
    yield { path: `${digestHex(id)}.json`, size: content.length, content };
  }
  yield dockerManifest(images, (id) => `${digestHex(id)}.json`, layerPath);
}

/** What Docker's archives are read by. */
function dockerManifest(
  images: readonly NamedImage[],
  configPath: (id: string) => string,
  layerPath: (diffId: string) => string,
): ArchiveMember {
  return text(
    "manifest.json",
    images.map(({ id, names, layers }) => ({
      Config: configPath(id),
      RepoTags: names.length > 0 ? names : null,
      Layers: layers.map(layerPath),
    })),
  );
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const mediaTypes = {
  layer: "application/vnd.oci.image.layer.v1.tar",
  config: "application/vnd.oci.image.config.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
};

/**
 * The files of an OCI layout; the index comes last. An image with several names has several entries there. As in archives of Docker, a second
 * manifest makes them readable for programs that take several images from a docker-archive only.
 */
export async function* ociLayout(
  root: DataRoot,
  images: readonly NamedImage[],
  options: SaveOptions,
): AsyncGenerator<ArchiveMember> {
  yield text("oci-layout", { imageLayoutVersion: "1.0.0" });
  const written = new Set<string>();
  const layers = new Map<string, Descriptor>();
  for (const diffId of layersOf(images)) {
    if (!options.gzip) {
      const { archiveSize } = readLayer(root, diffId);
      layers.set(diffId, { mediaType: mediaTypes.layer, digest: diffId, size: archiveSize });
      yield { path: blobPath(diffId), size: archiveSize, content: () => verifiedLayer(root, diffId, options) };
      continue;
    }
    // Its length and digest come before it.
    const temporary = await makeTemporary(root, "save");
    try {
      const path = join(temporary.path, "layer.tar.gz");
      const { digest, size } = await compressed(verifiedLayer(root, diffId, options), path);
      layers.set(diffId, { mediaType: `${mediaTypes.layer}+gzip`, digest, size });
      yield { path: blobPath(digest), size, content: () => createReadStream(path) as AsyncIterable<Buffer> };
    } finally {
      temporary.dispose();
    }
  }
  const manifests: object[] = [];
  for (const image of images) {
    const config = readConfigBytes(root, image.id);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config: { mediaType: mediaTypes.config, digest: image.id, size: config.length },
        layers: image.layers.map((diffId) => layers.get(diffId)),
      }),
    );
    const digest = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
    for (const [blob, content] of [
      [image.id, config],
      [digest, manifest],
    ] as const) {
      if (!written.has(blob)) yield { path: blobPath(blob), size: content.length, content };
      written.add(blob);
    }
    const descriptor = { mediaType: mediaTypes.manifest, digest, size: manifest.length };
    for (const name of image.names.length > 0 ? image.names : [undefined]) {
      // The first is what podman and skopeo go by, the second what containerd and Docker do.
      const annotations = { "org.opencontainers.image.ref.name": name, "io.containerd.image.name": name };
      manifests.push(name === undefined ? descriptor : { ...descriptor, annotations });
    }
  }
  yield dockerManifest(images, blobPath, (diffId) => blobPath(layers.get(diffId)?.digest ?? diffId));
  yield text("index.json", { schemaVersion: 2, mediaType: mediaTypes.index, manifests });
}

function blobPath(digest: string): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

async function compressed(source: AsyncIterable<Buffer>, path: string): Promise<{ digest: string; size: number }> {
  const digest = createHash("sha256");
  let size = 0;
  await pipeline(
    source,
    createGzip(),
    async function* (pieces: AsyncIterable<Buffer>) {
      for await (const piece of pieces) {
        digest.update(piece);
        size += piece.length;
        yield piece;
      }
    },
    createWriteStream(path),
  );
  return { digest: `sha256:${digest.digest("hex")}`, size };
}
