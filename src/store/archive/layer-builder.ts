/** A layer's directory, from the pieces of its archive: the tree, its record, its manifest and the rest of the archive. */
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { createGzip, type Gzip } from "node:zlib";
import { errnoName } from "../../errno.js";
import { O_DIRECTORY, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { reason } from "../data-root.js";
import { StoreError } from "../error.js";
import type { BuiltLayer } from "../layers.js";
import type { LayerRecord } from "../records.js";
import { LayerWriter } from "./layer-writer.js";
import type { ReadArchive } from "./pieces.js";
import { type Hashes, loadHashes } from "./quick-manifest.js";
import { TarParser } from "./tar-parser.js";

/** An archive may consist of what no file holds (content of entries that are passed over), which is compressed more slowly than it is read. */
const mostWaiting = 16 << 20;

export class LayerBuilder {
  private readonly tree: number;
  private readonly writer: LayerWriter;
  private readonly parser: TarParser;
  private readonly skeleton: Gzip;
  private readonly skeletonFile: number;
  private failure: Error | undefined;

  /** Makes the directory `path`; what is in it after a failure is the caller's to remove. Throws StoreError. */
  static async create(path: string): Promise<LayerBuilder> {
    const hashes = await loadHashes();
    try {
      mkdirSync(path, { mode: 0o755 });
      mkdirSync(join(path, "tree"), { mode: 0o755 });
    } catch (cause) {
      throw new StoreError(`${path} cannot be made: ${reason(cause)}`, { cause });
    }
    return new LayerBuilder(path, hashes);
  }

  private constructor(
    private readonly path: string,
    hashes: Hashes,
  ) {
    const tree = join(path, "tree");
    this.tree = native.openFollow(Buffer.from(tree, "utf8").toString("latin1"), O_RDONLY | O_DIRECTORY);
    if (this.tree < 0) throw new StoreError(`${tree} cannot be opened: ${errnoName(this.tree)}`);
    const replaced = (): string => {
      const directory = join(path, "replaced");
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return directory;
    };
    this.writer = new LayerWriter(this.tree, replaced, hashes, (piece) => void this.skeleton.write(piece));
    this.parser = new TarParser(this.writer);
    this.skeleton = createGzip({ level: 1 });
    this.skeletonFile = openSync(join(path, "archive.gz"), "wx", 0o600);
    this.skeleton.on("error", (error) => {
      this.failure ??= error;
    });
    this.skeleton.on("data", (piece: Buffer) => {
      try {
        for (let at = 0; at < piece.length; ) at += writeSync(this.skeletonFile, piece, at);
      } catch (error) {
        this.failure ??= error as Error;
      }
    });
  }

  /** If much of what was taken still waits to be written: when that has gone down. Whoever pushes on without waiting fills the memory. */
  get backlog(): Promise<void> | undefined {
    if (this.skeleton.writableLength < mostWaiting || this.failure !== undefined) return undefined;
    return once(this.skeleton, "drain").then(() => {});
  }

  /** Takes the next bytes of the archive, which are used no more when this returns. Throws StoreError. */
  push(bytes: Buffer): void {
    this.parser.push(bytes);
  }

  /** The archive has ended, and was `archive`: all that is left is written; to bring it to the disk is the caller's task. Throws StoreError. */
  async finish({ diffId, archiveSize }: ReadArchive): Promise<BuiltLayer> {
    this.parser.end();
    const { manifest, warnings, implied, size, entries, opaqueRoot } = this.writer.finish();
    this.skeleton.end();
    const record: LayerRecord = {
      schema: 1,
      diffId,
      archiveSize,
      size,
      entries,
      created: new Date().toISOString(),
      ...(opaqueRoot && { opaqueRoot }),
    };
    try {
      if (this.failure === undefined) await finished(this.skeleton);
      if (this.failure !== undefined) throw this.failure;
      writeFileSync(join(this.path, "manifest"), manifest, "latin1");
      writeFileSync(join(this.path, "layer.json"), `${JSON.stringify(record, null, 2)}\n`);
    } catch (cause) {
      throw new StoreError(`a layer cannot be written: ${reason(cause)}`, { cause });
    }
    return { record, path: this.path, implied, warnings };
  }

  /** Closes what is open, also after a failure. */
  close(): void {
    this.writer.close();
    this.skeleton.destroy();
    closeSync(this.skeletonFile);
    native.close(this.tree);
  }
}
