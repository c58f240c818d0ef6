import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { native } from "../native/index.js";
import { TarParser } from "./archive/tar-parser.js";
import { TreeWriter } from "./archive/tree-writer.js";
import type { DataRoot } from "./data-root.js";
import { StoreError, undoAfter } from "./error.js";
import { fillVolume } from "./populate.js";
import { mountVolume } from "./volume-mounts.js";
import { ensureVolume, findVolume, removeVolume } from "./volumes.js";

/**
 * Fills a volume, which is created if it is missing, from a tar archive, plain or compressed with gzip. Throws StoreError if something is in the
 * volume, or the archive is damaged, and whatever reading throws; then the volume is as it was before.
 */
export async function importVolume(root: DataRoot, name: string, source: Readable): Promise<void> {
  const isNew = findVolume(root, name) === undefined;
  const volume = await ensureVolume(root, name);
  try {
    await mountVolume(root, volume);
    const filled = await fillVolume(root, name, (target) => extract(source, target));
    if (!filled)
      throw new StoreError(`the volume ${name} is not empty: import into a new one, or remove what is in it`);
  } catch (error) {
    await undoAfter(error, async () => {
      if (isNew) await removeVolume(root, name);
    });
  }
}

async function extract(source: Readable, target: number): Promise<void> {
  // An archive may say nothing of the root.
  const opened = native.chmod(target, "", 0o755);
  if (opened < 0) throw new StoreError("the volume cannot be opened for others");
  const writer = new TreeWriter(target);
  try {
    const parser = new TarParser(writer);
    for await (const chunk of await decompressed(source)) parser.push(chunk as Buffer);
    parser.end();
    writer.finish();
  } finally {
    writer.close();
  }
}

/** The archive itself, whatever it comes in, by its first bytes. */
async function decompressed(source: Readable): Promise<Readable> {
  const iterator = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0);
  while (head.length < 4) {
    const next = await iterator.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  const whole = Readable.from(chain(head, iterator), { objectMode: false });
  if (head[0] !== 0x1f || head[1] !== 0x8b) return whole;
  const plain = createGunzip();
  // What goes wrong there is seen by whoever reads the output.
  pipeline(whole, plain).catch((error: Error) => plain.destroy(error));
  return plain;
}

async function* chain(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}
