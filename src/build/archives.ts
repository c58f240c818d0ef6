/** Archives that ADD unpacks: what one is, and its tree. */

import { errnoName } from "../errno.js";
import { O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { type FileSource, readSource } from "../store/archive/read-source.js";
import { BLOCK, decodeHeader } from "../store/archive/tar-header.js";
import { TarParser } from "../store/archive/tar-parser.js";
import { TreeWriter } from "../store/archive/tree-writer.js";
import { NoDecoderError } from "../store/archive/zstd.js";
import { StoreError } from "../store/error.js";
import { bytesOf } from "../text.js";

/** The first block has been read, and more is not needed. */
class Enough extends Error {}

/** Whether a file is a tar archive, also one compressed by gzip or zstd. Throws StoreError for one compressed in a way that cannot be undone here. */
export async function isArchive(source: FileSource): Promise<boolean> {
  const head = Buffer.alloc(Math.min(6, source.length));
  const length = native.pread(source.fd, head, 0, head.length, source.offset);
  if (length < 0) throw new StoreError(`it cannot be read: ${errnoName(length)}`);
  if (head.latin1Slice(0, 6) === "\xfd7zXZ\0" || /^BZh[1-9]1A/.test(head.latin1Slice())) {
    throw new StoreError(
      "it is compressed by xz or bzip2, which ADD cannot unpack here: compress it by gzip or zstd, or COPY it as it is",
    );
  }
  let block: Buffer = Buffer.alloc(0);
  try {
    const piece = Buffer.alloc(64 * 1024);
    await readSource(source, {
      take: () => piece,
      send: (_, sent) => {
        block = Buffer.concat([block, piece.subarray(0, sent)]);
        if (block.length >= BLOCK) throw new Enough();
      },
      progress: () => {},
    });
  } catch (error) {
    // What is damaged is no archive.
    if (error instanceof NoDecoderError || !(error instanceof Enough || error instanceof StoreError)) throw error;
  }
  return block.length >= BLOCK && isHeader(block);
}

function isHeader(block: Buffer): boolean {
  try {
    return decodeHeader(block, 0) !== undefined;
  } catch (error) {
    if (error instanceof StoreError) return false;
    throw error;
  }
}

/** Makes the tree of an archive in an empty directory. Throws StoreError, also for what would lead out of it. */
export async function unpack(source: FileSource, into: string): Promise<void> {
  const target = native.openFollow(bytesOf(into), O_PATH | O_DIRECTORY);
  if (target < 0) throw new StoreError(`${into} cannot be opened: ${errnoName(target)}`);
  const writer = new TreeWriter(target);
  try {
    const parser = new TarParser(writer);
    const piece = Buffer.alloc(1024 * 1024);
    await readSource(source, {
      take: () => piece,
      send: (_, length) => parser.push(piece.subarray(0, length)),
      progress: () => {},
    });
    parser.end();
    writer.finish();
  } finally {
    writer.close();
    native.close(target);
  }
}
