/** Reads an archive from where it is: decompressed, hashed, in pieces of one size that are used again and again. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { errnoName } from "../../errno.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { PieceFiller, type PieceSink, type ReadArchive } from "./pieces.js";
import { unzstd } from "./zstd.js";

/** A part of a file. The descriptor stays the caller's. */
export interface FileSource {
  readonly fd: number;
  readonly offset: number;
  readonly length: number;
}

/** Where an archive comes from; from memory, buffers may not change while they are read. */
export type LayerSource = FileSource | AsyncIterable<Buffer> | Iterable<Buffer>;

export function isFile(source: LayerSource): source is FileSource {
  return "offset" in source;
}

export type Compression = "none" | "gzip" | "zstd";

/** Reads a source to its end. Throws StoreError for what cannot be read or decompressed. */
export async function readSource(source: LayerSource, sink: PieceSink): Promise<ReadArchive> {
  const { head, rest } = isFile(source) ? { head: fileHead(source), rest: undefined } : await peek(source, 6);
  const compression = compressionOf(head);
  if (compression === "none") {
    return isFile(source) ? readPlainFile(source, sink) : readPieces(rest ?? [], sink, undefined);
  }
  const blob = createHash("sha256");
  const compressed = counted(rest ?? filePieces(source as FileSource), blob, sink);
  const blobDigest = (): string => `sha256:${blob.digest("hex")}`;
  if (compression === "gzip") return readPieces(gunzipped(compressed), sink, blobDigest);
  const out = new PieceFiller(sink);
  await unzstd(compressed, out);
  return out.finish(blobDigest());
}

/** How an archive is compressed. Throws StoreError for other compressions. */
export function fileCompression(source: FileSource): Compression {
  return compressionOf(fileHead(source));
}

/** Whether an archive is compressed by gzip or zstd. Throws StoreError for other compressions. */
export function isCompressed(source: FileSource): boolean {
  return fileCompression(source) !== "none";
}

function compressionOf(head: Buffer): Compression {
  const start = head.toString("latin1", 0, 6);
  if (start.startsWith("\x1f\x8b")) return "gzip";
  if (start.startsWith("\x28\xb5\x2f\xfd")) return "zstd";
  if (start === "\xfd7zXZ\0" || start.startsWith("BZh")) {
    throw new StoreError(
      `the archive is compressed by ${start.startsWith("B") ? "bzip2" : "xz"}, which image layers are not: decompress it first`,
    );
  }
  return "none";
}

function fileHead(source: FileSource): Buffer {
  const head = Buffer.alloc(Math.min(6, source.length));
  const length = native.pread(source.fd, head, 0, head.length, source.offset);
  if (length < 0) throw new StoreError(`the archive cannot be read: ${errnoName(length)}`);
  return head;
}

/**
 * The first bytes of a source, `length` or more unless all of it has `ended` before, and the source as if nothing had been read: that is the caller's
 * to read, or to let be if it has ended.
 */
export async function peek(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  length: number,
): Promise<{ head: Buffer; ended: boolean; rest: AsyncIterable<Buffer> }> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  const chunks: Buffer[] = [];
  let ended = false;
  for (let have = 0; !ended && have < length; ) {
    const next = await iterator.next();
    if (next.done === true) ended = true;
    else {
      chunks.push(next.value);
      have += next.value.length;
    }
  }
  const head = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  async function* rest(): AsyncGenerator<Buffer> {
    let done = ended;
    try {
      if (head.length > 0) yield head;
      while (!done) {
        const next = await iterator.next();
        if (next.done === true) done = true;
        else yield next.value;
      }
    } finally {
      if (!done) await iterator.return?.();
    }
  }
  return { head, ended, rest: rest() };
}

async function readPlainFile({ fd, offset, length }: FileSource, sink: PieceSink): Promise<ReadArchive> {
  const out = new PieceFiller(sink);
  for (let at = 0; at < length; ) {
    const taken = out.current();
    const piece = taken instanceof Promise ? await taken : taken;
    const count = native.pread(fd, piece, out.used, Math.min(piece.length - out.used, length - at), offset + at);
    if (count <= 0)
      throw new StoreError(`the archive cannot be read: ${count < 0 ? errnoName(count) : "it is cut off"}`);
    out.add(count);
    at += count;
    sink.progress(at);
  }
  return out.finish();
}

/** `blobDigest` is for a source that is compressed; `counted` tells about progress then. */
async function readPieces(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  sink: PieceSink,
  blobDigest: (() => string) | undefined,
): Promise<ReadArchive> {
  const out = new PieceFiller(sink);
  let read = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const copied = chunk.copy(await out.current(), out.used, at);
      out.add(copied);
      at += copied;
    }
    read += chunk.length;
    if (blobDigest === undefined) sink.progress(read);
  }
  return out.finish(blobDigest?.());
}

function* filePieces({ fd, offset, length }: FileSource): Generator<Buffer> {
  for (let at = 0; at < length; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(256 * 1024, length - at));
    const count = native.pread(fd, piece, 0, piece.length, offset + at);
    if (count <= 0)
      throw new StoreError(`the archive cannot be read: ${count < 0 ? errnoName(count) : "it is cut off"}`);
    yield count === piece.length ? piece : piece.subarray(0, count);
    at += count;
  }
}

async function* counted(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  digest: ReturnType<typeof createHash>,
  sink: PieceSink,
): AsyncGenerator<Buffer> {
  let read = 0;
  for await (const chunk of source) {
    digest.update(chunk);
    read += chunk.length;
    sink.progress(read);
    yield chunk;
  }
}

/** Inflated on a thread of libuv: the buffers between let it go on while the last piece is worked on. */
async function* gunzipped(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = Readable.from(source, { objectMode: false, highWaterMark: 1024 * 1024 });
  const plain = createGunzip({ chunkSize: 256 * 1024, highWaterMark: 2 * 1024 * 1024 } as Parameters<
    typeof createGunzip
  >[0]);
  input.on("error", (error) => plain.destroy(error));
  input.pipe(plain);
  try {
    for await (const chunk of plain) yield chunk as Buffer;
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code;
    throw new StoreError(
      `the archive is damaged: gzip: ${code === "Z_BUF_ERROR" ? "it is cut off" : (cause as Error).message}`,
      { cause },
    );
  } finally {
    input.destroy();
    plain.destroy();
  }
}
