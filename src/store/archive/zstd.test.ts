import { afterEach, expect, it, vi } from "vitest";
import { ENOSYS } from "../../errno.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { frame, skippable } from "../testing.js";
import { pieceSize } from "./pieces.js";
import { type LayerSource, readSource } from "./read-source.js";
import { NoDecoderError } from "./zstd.js";

async function read(source: LayerSource): Promise<Buffer> {
  const piece = Buffer.alloc(pieceSize);
  const pieces: Buffer[] = [];
  await readSource(source, {
    take: () => piece,
    send: (_, length) => void pieces.push(Buffer.from(piece.subarray(0, length))),
    progress: () => {},
  });
  return Buffer.concat(pieces);
}

const content = Buffer.alloc(2 * pieceSize + 1000, "what is in an archive ");

afterEach(() => {
  vi.restoreAllMocks();
});

it.each([
  ["a frame", [frame(content)], content],
  ["as much as goes into the pieces", [frame(content.subarray(0, 2 * pieceSize))], content.subarray(0, 2 * pieceSize)],
  ["nothing", [frame(Buffer.alloc(0))], Buffer.alloc(0)],
  [
    "several frames, and one to be skipped",
    [frame(content), skippable, frame(Buffer.from("more"))],
    Buffer.concat([content, Buffer.from("more")]),
  ],
] satisfies [string, Buffer[], Buffer][])("%s, in whatever pieces it comes", async (_, frames, expected) => {
  const whole = Buffer.concat(frames);
  for (const size of [whole.length, 70_001]) {
    const parts = Array.from({ length: Math.ceil(whole.length / size) }, (_, index) =>
      whole.subarray(index * size, (index + 1) * size),
    );
    expect((await read(parts)).equals(expected)).toBe(true);
  }
});

it.each([
  ["cut off", frame(content).subarray(0, -1000), /zstd: it is cut off/],
  [
    "other blocks than there are",
    Buffer.concat([frame(content).subarray(0, 6), Buffer.alloc(9, 255)]),
    /damaged: zstd/,
  ],
  ["something behind the frame", Buffer.concat([frame(content), Buffer.from("something else")]), /damaged: zstd/],
  ["another checksum", frame(content, { checksum: Buffer.alloc(4) }), /damaged: zstd/],
  ["a window of a gigabyte", frame(content, { windowLog: 30 }), /more than 128 MiB/],
])("refuses what has %s", async (_, bytes, message) => {
  const reading = read([bytes]);
  await expect(reading).rejects.toThrow(StoreError);
  await expect(reading).rejects.toThrow(message);
});

it("says what is missing where the system has no libzstd", async () => {
  vi.spyOn(native, "zstdOpen").mockReturnValue(-ENOSYS);
  await expect(read([frame(content)])).rejects.toThrow(NoDecoderError);
});
