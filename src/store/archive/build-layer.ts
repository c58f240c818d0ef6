/** From an archive to a layer's directory: the tree, its record, its manifest and the rest of the archive. */
import { createHash } from "node:crypto";
import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { errnoName } from "../../errno.js";
import { O_DIRECTORY, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import type { BuiltLayer, LayerOptions } from "../layers.js";
import type { LayerRecord } from "../records.js";
import { LayerWriter } from "./layer-writer.js";
import { loadHashes } from "./quick-manifest.js";
import { TarParser } from "./tar-parser.js";

/** Where an archive comes from. */
export type LayerSource = Readable;

/** Builds a layer in the directory `path`, which must not exist, and syncs it. Throws StoreError; what is in `path` then is the caller's to remove. */
export async function buildLayer(path: string, source: LayerSource, options: LayerOptions): Promise<BuiltLayer> {
  const tree = join(path, "tree");
  mkdirSync(path, { mode: 0o755 });
  mkdirSync(tree, { mode: 0o755 });
  const fd = native.openFollow(Buffer.from(tree, "utf8").toString("latin1"), O_RDONLY | O_DIRECTORY);
  if (fd < 0) throw new StoreError(`${tree} cannot be opened: ${errnoName(fd)}`);
  const replaced = (): string => {
    const directory = join(path, "replaced");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return directory;
  };
  const writer = new LayerWriter(fd, replaced, await loadHashes());
  const skeleton = createGzip({ level: 1 });
  const file = skeleton.pipe(createWriteStream(join(path, "archive.gz")));
  try {
    const parser = new TarParser(writer);
    const digest = createHash("sha256");
    let archiveSize = 0;
    for await (const chunk of source) {
      digest.update(chunk);
      parser.push(chunk);
      archiveSize += chunk.length;
      for (const piece of writer.skeleton.take()) skeleton.write(piece);
      options.progress?.(archiveSize);
    }
    parser.end();
    const written = writer.finish();
    for (const piece of writer.skeleton.take()) skeleton.write(piece);
    skeleton.end();
    await finished(file);
    const diffId = `sha256:${digest.digest("hex")}`;
    if (options.expectedDiffId !== undefined && options.expectedDiffId !== diffId) {
      throw new StoreError(`a layer should have the digest ${options.expectedDiffId}, and has ${diffId}`);
    }
    writeFileSync(join(path, "manifest"), written.manifest, "latin1");
    const record: LayerRecord = {
      schema: 1,
      diffId,
      archiveSize,
      size: written.size,
      entries: written.entries,
      created: new Date().toISOString(),
      ...(written.opaqueRoot && { opaqueRoot: true }),
    };
    writeFileSync(join(path, "layer.json"), `${JSON.stringify(record, null, 2)}\n`);
    const synced = native.syncfs(fd);
    if (synced < 0) throw new StoreError(`a layer cannot be brought to the disk: ${errnoName(synced)}`);
    return { record, path, warnings: written.warnings };
  } finally {
    writer.close();
    skeleton.destroy();
    native.close(fd);
  }
}
