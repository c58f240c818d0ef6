import { native } from "../native/index.js";
import { pieceSize } from "./archive/pieces.js";
import { readSource } from "./archive/read-source.js";
import { TarParser } from "./archive/tar-parser.js";
import { TreeWriter } from "./archive/tree-writer.js";
import type { DataRoot } from "./data-root.js";
import { StoreError, undoAfter } from "./error.js";
import { checkInterruption, interruptible } from "./interruption.js";
import { fillVolume } from "./populate.js";
import type { VolumeRecord } from "./records.js";
import { ensureVolume, unmakeVolumes, withVolumeData } from "./volumes.js";

/**
 * Fills a volume, which is created if it is missing, from a tar archive, plain or compressed by gzip or zstd. Throws StoreError if something is in the
 * volume, or the archive is damaged, and whatever reading throws; then the volume is as it was before.
 */
export async function importVolume(root: DataRoot, name: string, source: AsyncIterable<Buffer>): Promise<void> {
  const made: VolumeRecord[] = [];
  const volume = await ensureVolume(root, name, {}, made);
  try {
    await withVolumeData(root, volume, async (data) => {
      const filled = await fillVolume(root, name, data, (target) => extract(source, target));
      if (!filled)
        throw new StoreError(`the volume ${name} is not empty: import into a new one, or remove what is in it`);
    });
  } catch (error) {
    await undoAfter(error, () => unmakeVolumes(root, made));
  }
}

async function extract(source: AsyncIterable<Buffer>, target: number): Promise<void> {
  // An archive may say nothing of the root.
  const opened = native.chmod(target, "", 0o755);
  if (opened < 0) throw new StoreError("the volume cannot be opened for others");
  const writer = new TreeWriter(target);
  try {
    const parser = new TarParser(writer);
    const piece = Buffer.allocUnsafeSlow(pieceSize);
    await readSource(interruptible(source), {
      take: () => piece,
      send: (_, length) => {
        checkInterruption();
        parser.push(piece.subarray(0, length));
      },
      progress: () => {},
    });
    parser.end();
    if (!parser.hasEnd) throw new StoreError("the tar archive is cut off: it has no end");
    writer.finish();
  } finally {
    writer.close();
  }
}
