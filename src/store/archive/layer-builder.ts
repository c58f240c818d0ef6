/** A layer's directory, from the pieces of its archive: the tree, its record, its manifest and the rest of the archive. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { errnoName } from "../../errno.js";
import { O_DIRECTORY, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { reason } from "../data-root.js";
import { StoreError } from "../error.js";
import type { BuiltLayer } from "../layers.js";
import type { LayerRecord } from "../records.js";
import { FileOrders } from "./file-orders.js";
import { RunLines } from "./file-runs.js";
import { LayerWriter } from "./layer-writer.js";
import type { ReadArchive } from "./pieces.js";
import { type Hashes, loadHashes } from "./quick-manifest.js";
import { TarParser } from "./tar-parser.js";

export class LayerBuilder {
  private readonly tree: number;
  private readonly writer: LayerWriter;
  private readonly parser: TarParser;
  private readonly skeletonFile: number;
  private readonly orders: FileOrders;

  /**
   * Makes the directory `path`; what is in it after a failure is the caller's to remove. With `apart` a thread writes the files. Throws StoreError.
   */
  static async create(path: string, apart: boolean): Promise<LayerBuilder> {
    const hashes = await loadHashes();
    try {
      mkdirSync(path, { mode: 0o755 });
      mkdirSync(join(path, "tree"), { mode: 0o755 });
    } catch (cause) {
      throw new StoreError(`${path} cannot be made: ${reason(cause)}`, { cause });
    }
    return new LayerBuilder(path, hashes, apart);
  }

  private constructor(
    private readonly path: string,
    hashes: Hashes,
    apart: boolean,
  ) {
    const tree = join(path, "tree");
    this.tree = native.openFollow(Buffer.from(tree, "utf8").toString("latin1"), O_RDONLY | O_DIRECTORY);
    if (this.tree < 0) throw new StoreError(`${tree} cannot be opened: ${errnoName(this.tree)}`);
    const replaced = (): string => {
      const directory = join(path, "replaced");
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return directory;
    };
    this.skeletonFile = openSync(join(path, "archive.gz"), "wx", 0o600);
    const lines = new RunLines();
    this.orders = new FileOrders(apart, (table, names, run) => lines.add(table, names, run));
    this.writer = new LayerWriter(this.tree, replaced, hashes, this.orders, lines, (piece) => this.keep(piece));
    this.parser = new TarParser(this.writer);
  }

  /**
   * A piece of the skeleton goes to its file, compressed by itself: that is little work, and a thread for it would have to be waited for at the end.
   * Throws StoreError.
   */
  private keep(piece: Buffer): void {
    try {
      const compressed = gzipSync(piece, { level: 1 });
      for (let at = 0; at < compressed.length; ) at += writeSync(this.skeletonFile, compressed, at);
    } catch (cause) {
      throw new StoreError(`a layer cannot be written: ${reason(cause)}`, { cause });
    }
  }

  /** Takes the next bytes of the archive. `done` is called when they are used no more; unless a thread writes, before this returns. Throws StoreError. */
  push(bytes: Buffer, done = (): void => {}): void {
    this.orders.from(bytes);
    this.parser.push(bytes);
    this.writer.release(done);
  }

  /** The archive has ended, and was `archive`: all that is left is written; to bring it to the disk is the caller's task. Throws StoreError. */
  finish({ diffId, archiveSize }: ReadArchive): BuiltLayer {
    this.parser.end();
    const { manifest, warnings, implied, size, entries, opaqueRoot } = this.writer.finish();
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
      writeFileSync(join(this.path, "manifest"), manifest, "latin1");
      writeFileSync(join(this.path, "layer.json"), `${JSON.stringify(record, null, 2)}\n`);
    } catch (cause) {
      throw new StoreError(`a layer cannot be written: ${reason(cause)}`, { cause });
    }
    return { record, path: this.path, implied, warnings, hasEnd: this.parser.hasEnd };
  }

  /** Closes what is open, also after a failure. */
  close(): void {
    this.orders.close();
    this.writer.close();
    closeSync(this.skeletonFile);
    native.close(this.tree);
  }
}
