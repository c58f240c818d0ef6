/**
 * Decompresses zstd by the system's libzstd, straight into the pieces. What wants a window of more than 128 MiB is refused, as by zstd(1).
 * Node's own decompressor (since version 22.15) is no way out where the library is missing: of several frames, which archives that can be read in part
 * consist of, it gives the first one alone, and says nothing.
 */
import { E2BIG, EBADMSG, ENOSYS, EPROTO, errnoName, ignore } from "../../errno.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import type { PieceFiller } from "./pieces.js";

/** Nothing here can decompress what otherwise would be an archive. */
export class NoDecoderError extends StoreError {}

/** Decompresses all of a source. Throws StoreError for what is damaged or cut off. */
export async function unzstd(source: AsyncIterable<Buffer>, out: PieceFiller): Promise<void> {
  const stream = native.zstdOpen();
  if (stream === -ENOSYS)
    throw new NoDecoderError(
      "the archive is compressed by zstd, which needs the library libzstd.so.1 (in Debian: apt-get install libzstd1)",
    );
  if (typeof stream === "number") throw zstdFailed(stream);
  try {
    const counts = new Uint32Array(2);
    const moved = new Uint8Array(counts.buffer);
    // 0 between two frames.
    let more = 1;
    for await (const chunk of source) {
      for (let at = 0, isFull = false; at < chunk.length || isFull; ) {
        const taken = out.current();
        const piece = taken instanceof Promise ? await taken : taken;
        const { used } = out;
        const room = piece.length - used;
        more = native.zstdDecompress(stream, chunk, at, chunk.length - at, piece, used, room, moved);
        if (more < 0) throw zstdFailed(more);
        const [read = 0, written = 0] = counts;
        at += read;
        out.add(written);
        // There may be more to come out than fits.
        isFull = written === room && more > 0;
      }
    }
    if (more > 0) throw zstdFailed(-EPROTO);
  } finally {
    ignore(native.zstdClose(stream), "it is open");
  }
}

/** What an error of the decompressor means. */
export function zstdFailed(result: number): StoreError {
  if (result === -EPROTO) return new StoreError("the archive is damaged: zstd: it is cut off");
  if (result === -EBADMSG)
    return new StoreError("the archive is damaged: zstd: its content is not what was compressed");
  if (result === -E2BIG)
    return new StoreError(
      "the archive is compressed by zstd with a window of more than 128 MiB, which is too much memory",
    );
  return new StoreError(`the archive cannot be decompressed: zstd: ${errnoName(result)}`);
}
