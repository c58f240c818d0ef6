/** Reads an archive from a file on a native thread, which decompresses it and takes its digests; whoever wants the pieces takes them here, and no thread of JavaScript has to start. */
import { E2BIG, EBADMSG, ENODATA, EPROTO, errnoName, ignore } from "../../errno.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { interruption } from "../interruption.js";
import { pieceSize, type ReadArchive } from "./pieces.js";
import { type FileSource, fileCompression } from "./read-source.js";
import { zstdFailed } from "./zstd.js";

/** How many pieces go round. */
const pieces = 8;

/** Takes content, and calls `done` when it is used no more. What it throws ends the reading. */
export type Push = (content: Buffer, done: () => void) => void;

/** Whether an archive can be read so. Throws StoreError for a compression that is unknown. */
export function readsOnThread(source: FileSource): boolean {
  const compression = fileCompression(source);
  return compression !== "gzip" && native.canReadArchives(compression === "zstd" ? 1 : 0) === 1;
}

/** Reads to the end, where `readsOnThread` says that it can. `progress` is told how much of the source has been read. Throws StoreError, and what `push` throws. */
export async function readOnThread(
  source: FileSource,
  push: Push,
  progress: (read: number) => void,
): Promise<ReadArchive> {
  const isZstd = fileCompression(source) === "zstd";
  const memory = Buffer.allocUnsafeSlow(pieces * pieceSize);
  /** Where the pieces begin that are being filled. */
  const asked: number[] = [];
  let size = 0;
  let told: (length: number) => void = () => {};
  const archive = native.archiveOpen(source.fd, source.offset, source.length, isZstd ? 1 : 0, memory, (length) =>
    told(length),
  );
  if (typeof archive === "number") throw failed(archive, isZstd);
  const digests = Buffer.alloc(64);
  const ask = (start: number): void => {
    asked.push(start);
    ignore(
      native.archiveFill(archive, start, pieceSize),
      "there are as many places, and it fails only when it has been closed",
    );
  };
  try {
    await new Promise<void>((resolve, reject) => {
      const interrupted = (): void => end(() => reject(interruption.reason as Error));
      const end = (settle: () => void): void => {
        told = () => {};
        interruption.removeEventListener("abort", interrupted);
        settle();
      };
      told = (length) => {
        const start = asked.shift() as number;
        if (length < 0) return end(() => reject(failed(length, isZstd)));
        if (length === 0) return end(resolve);
        size += length;
        try {
          push(memory.subarray(start, start + length), () => ask(start));
        } catch (error) {
          end(() => reject(error as Error));
        }
        progress(native.archiveRead(archive));
      };
      interruption.addEventListener("abort", interrupted);
      for (let piece = 0; piece < pieces; piece++) ask(piece * pieceSize);
    });
  } catch (error) {
    ignore(native.archiveClose(archive, digests), "there is an error to tell already");
    throw error;
  }
  const count = native.archiveClose(archive, digests);
  if (count < 0) throw failed(count, isZstd);
  const diffId = `sha256:${digests.subarray(0, 32).toString("hex")}`;
  return {
    diffId,
    archiveSize: size,
    blobDigest: count === 2 ? `sha256:${digests.subarray(32).toString("hex")}` : diffId,
  };
}

function failed(result: number, isZstd: boolean): StoreError {
  if (isZstd && (result === -EBADMSG || result === -E2BIG || result === -EPROTO)) return zstdFailed(result);
  return new StoreError(`the archive cannot be read: ${result === -ENODATA ? "it is cut off" : errnoName(result)}`);
}
