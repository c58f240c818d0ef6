/** The archive that a layer was made of, byte for byte, from its tree and what was kept beside it. */
import { createReadStream, readdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { EACCES, errnoName } from "../../errno.js";
import { STATX_ALL, Stat } from "../../layer/stat.js";
import { O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { type DataRoot, reason } from "../data-root.js";
import { StoreError } from "../error.js";
import { layerDirectory, readLayer } from "../layers.js";
import { shortId } from "../names.js";
import { quote } from "./layer-names.js";
import { readSkeleton, type SkeletonFile } from "./skeleton.js";

const pieceSize = 512 * 1024;
/** PATH_MAX, less the zero at its end; names in it have 255 bytes at most. */
const longestPath = 4095;

/**
 * The uncompressed archive of a layer. Its SHA-256 is the layer's diff ID, if nobody has changed the tree: whoever sends it on compares. A file that is
 * missing or has another size ends the stream with a StoreError.
 */
export function openLayerArchive(root: DataRoot, diffId: string): Readable {
  readLayer(root, diffId);
  return Readable.from(archivePieces(layerDirectory(root, diffId), diffId), { objectMode: false });
}

async function* archivePieces(directory: string, diffId: string): AsyncGenerator<Buffer> {
  const tree = openDirectory(join(directory, "tree"));
  const keptPath = join(directory, "replaced");
  const kept = new Set(namesIn(keptPath));
  const replaced = kept.size > 0 ? openDirectory(keptPath) : -1;
  let piece = Buffer.allocUnsafeSlow(pieceSize);
  let used = 0;
  const path = join(directory, "archive.gz");
  const compressed = createReadStream(path);
  const plain = createGunzip({ chunkSize: 256 * 1024 });
  compressed.on("error", (cause) => plain.destroy(unreadable(path, cause)));
  compressed.pipe(plain);
  try {
    for await (const part of readSkeleton(plain)) {
      const isBytes = Buffer.isBuffer(part);
      const fd = isBytes ? -1 : openFile(part, tree, replaced, kept, diffId);
      const size = isBytes ? part.length : part.size;
      try {
        for (let at = 0; at < size; ) {
          if (used === pieceSize) {
            yield piece;
            piece = Buffer.allocUnsafeSlow(pieceSize);
            used = 0;
          }
          const room = Math.min(pieceSize - used, size - at);
          const length = isBytes ? part.copy(piece, used, at, at + room) : native.pread(fd, piece, used, room, at);
          if (length <= 0) throw changed(isBytes ? "" : part.path, diffId, errnoName(length));
          used += length;
          at += length;
        }
      } finally {
        if (fd >= 0) native.close(fd);
      }
    }
    yield piece.subarray(0, used);
  } finally {
    compressed.destroy();
    plain.destroy();
    native.close(tree);
    if (replaced >= 0) native.close(replaced);
  }
}

/** The error names what is read: whoever writes an archive must not take it for one of its own file. */
function unreadable(path: string, cause: unknown): StoreError {
  return new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw unreadable(path, cause);
  }
}

function openDirectory(path: string): number {
  const fd = native.openFollow(Buffer.from(path, "utf8").toString("latin1"), O_PATH | O_DIRECTORY);
  if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
  return fd;
}

const stat = new Stat();

function openFile(
  file: SkeletonFile,
  tree: number,
  replaced: number,
  kept: ReadonlySet<string>,
  diffId: string,
): number {
  const number = String(file.number);
  const fd = kept.has(number)
    ? native.openBeneath(replaced, number, O_RDONLY | O_NONBLOCK)
    : openDeep(tree, file.path, O_RDONLY | O_NONBLOCK);
  if (fd === -EACCES)
    throw new StoreError(`${quote(file.path)} of the layer ${shortId(diffId)} cannot be read: EACCES`);
  if (fd < 0) throw changed(file.path, diffId, errnoName(fd));
  const result = native.statx(fd, "", STATX_ALL, stat.bytes);
  if (result === 0 && stat.isRegular && stat.size === file.size) return fd;
  native.close(fd);
  throw changed(file.path, diffId, "its size is not what it was");
}

/** As `openBeneath`, which takes no longer path than the kernel: an archive may have longer ones. */
function openDeep(tree: number, path: string, flags: number): number {
  let at = tree;
  for (let start = 0; ; ) {
    const end = path.length - start > longestPath ? path.lastIndexOf("/", start + longestPath) : path.length;
    const isLast = end === path.length;
    const fd = native.openBeneath(at, path.slice(start, end), isLast ? flags : O_PATH | O_DIRECTORY);
    if (at !== tree) native.close(at);
    if (isLast || fd < 0) return fd;
    at = fd;
    start = end + 1;
  }
}

function changed(path: string, diffId: string, why: string): StoreError {
  return new StoreError(
    `the layer ${shortId(diffId)} is damaged: ${quote(path)}: ${why}; cowfs image verify tells what else is`,
  );
}
