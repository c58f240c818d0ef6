/**
 * Layers from archives, in this thread or on two others: one reads, decompresses and hashes, the other one writes the tree. What they hand each other are
 * pieces of memory that go round, so no byte is copied for it. A small archive is done before the threads would have started.
 */
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { StoreError } from "../error.js";
import { checkInterruption, interruption } from "../interruption.js";
import type { BuiltLayer, LayerOptions } from "../layers.js";
import { shortId } from "../names.js";
import { LayerBuilder } from "./layer-builder.js";
import {
  type FileSource,
  isFile,
  type LayerSource,
  type PieceSink,
  pieceSize,
  type ReadArchive,
  readSource,
} from "./read-source.js";

export interface BuildOptions extends LayerOptions {
  /** Of the source as it is, if that is known: throws StoreError if it has another one. */
  readonly expectedBlobDigest?: string;
}

/** What is worth two threads, which take 50 ms to start. */
const smallArchive = 8 * 1024 * 1024;

/** Builds a layer in the directory `path`, which must not exist, and syncs it. Throws StoreError; what is in `path` then is the caller's to remove. */
export async function buildLayer(path: string, source: LayerSource, options: BuildOptions = {}): Promise<BuiltLayer> {
  const reader = new LayerReader();
  const threads = new LayerThreads(reader);
  try {
    return await threads.build(path, source, options);
  } finally {
    await Promise.all([threads.end(), reader.end()]);
  }
}

/** The thread that reads, started when it is needed. Two unpackers have one: reading and hashing take half as long as writing. */
export class LayerReader {
  private thread: LayerThread | undefined;

  get(program: string): LayerThread {
    this.thread ??= new LayerThread(program);
    return this.thread;
  }

  async end(): Promise<void> {
    await this.thread?.end();
    this.thread = undefined;
  }
}

/** A thread that writes one layer after the other, started when the first one needs it, and the one that reads for it. */
export class LayerThreads {
  private unpacker: LayerThread | undefined;

  /** The reader is the caller's to end. */
  constructor(private readonly reader: LayerReader) {}

  async build(path: string, source: LayerSource, options: BuildOptions): Promise<BuiltLayer> {
    if (programPath === undefined || (isFile(source) && source.length < smallArchive))
      return buildHere(path, source, options);
    const { port1, port2 } = new MessageChannel();
    this.unpacker ??= new LayerThread(programPath);
    const unpacked = this.unpacker.run({ kind: "unpack", path, port: port1 }, [port1]);
    let read: Promise<Answer>;
    if (isFile(source)) {
      read = this.reader
        .get(programPath)
        .run({ kind: "read", source, port: port2, options: expected(options) }, [port2], options.progress);
    } else read = readTo(source, port2, options);
    const interrupted = (): void => void this.end();
    interruption.addEventListener("abort", interrupted);
    try {
      checkInterruption();
      const [built] = await Promise.all([unpacked, read]);
      return built as BuiltLayer;
    } catch (error) {
      // The other one waits for pieces that nobody sends any more.
      await this.end();
      await Promise.allSettled([unpacked, read]);
      throw error;
    } finally {
      interruption.removeEventListener("abort", interrupted);
    }
  }

  async end(): Promise<void> {
    await this.unpacker?.end();
    this.unpacker = undefined;
  }
}

/** Everything in this thread. */
async function buildHere(path: string, source: LayerSource, options: BuildOptions): Promise<BuiltLayer> {
  const builder = await LayerBuilder.create(path);
  try {
    const piece = Buffer.allocUnsafeSlow(pieceSize);
    const archive = await readSource(source, {
      take: () => builder.backlog?.then(() => piece) ?? piece,
      send: (_, length) => builder.push(piece.subarray(0, length)),
      progress: (read) => options.progress?.(read),
    });
    checkDigests(archive, options);
    return await builder.finish(archive);
  } finally {
    builder.close();
  }
}

function checkDigests(archive: ReadArchive, { expectedDiffId, expectedBlobDigest }: Expected): void {
  if (expectedBlobDigest !== undefined && archive.blobDigest !== expectedBlobDigest) {
    throw new StoreError(`the digest of a layer's blob should be ${expectedBlobDigest}, and is ${archive.blobDigest}`);
  }
  if (expectedDiffId !== undefined && archive.diffId !== expectedDiffId) {
    throw new StoreError(
      `the layer ${shortId(expectedDiffId)} should have the digest ${expectedDiffId}, and has ${archive.diffId}`,
    );
  }
}

// ---- threads --------------------------------------------------------------------------------------------------------

type Expected = Pick<BuildOptions, "expectedDiffId" | "expectedBlobDigest">;

function expected({ expectedDiffId, expectedBlobDigest }: BuildOptions): Expected {
  return {
    ...(expectedDiffId !== undefined && { expectedDiffId }),
    ...(expectedBlobDigest !== undefined && { expectedBlobDigest }),
  };
}

/** What a thread is to do. */
export type Job =
  | { readonly kind: "unpack"; readonly path: string; readonly port: MessagePort }
  | { readonly kind: "read"; readonly source: FileSource; readonly port: MessagePort; readonly options: Expected };

/** How it ended. */
type Answer = BuiltLayer | ReadArchive;
type Message = { readonly read: number } | { readonly answer: Answer } | { readonly error: string };

/** One of the jobs that a thread has at a time. */
export interface Numbered<T> {
  readonly number: number;
  readonly what: T;
}

/** On the way between reader and unpacker: a piece and how much of it is content, or the end. */
type Piece = { readonly piece: ArrayBuffer; readonly length: number } | { readonly archive: ReadArchive };

/** The program, to be run by a thread: the bundle's entry. Undefined where there is no bundle, in unit tests. */
const programPath = ((): string | undefined => {
  const here = fileURLToPath(import.meta.url);
  return /^program-[0-9a-f]+\.js$/.test(basename(here)) ? join(dirname(here), "main.js") : undefined;
})();

class LayerThread {
  private readonly worker: Worker;
  private jobs = 0;

  constructor(program: string) {
    // Room for what 20,000 files need: collecting garbage in the middle of it costs a tenth of the time.
    this.worker = new Worker(program, { argv: ["--layer-thread"], resourceLimits: { maxYoungGenerationSizeMb: 96 } });
  }

  run(job: Job, transfer: MessagePort[], progress?: (read: number) => void): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { worker } = this;
      const done = (): void => {
        worker.off("message", message);
        worker.off("error", failed);
        worker.off("exit", exited);
      };
      const number = this.jobs++;
      const message = ({ number: other, what: said }: Numbered<Message>): void => {
        if (other !== number) return;
        if ("read" in said) progress?.(said.read);
        else {
          done();
          if ("answer" in said) resolve(said.answer);
          else reject(new StoreError(said.error));
        }
      };
      const failed = (error: Error): void => {
        done();
        reject(error);
      };
      const exited = (): void => failed(new StoreError("a thread that builds a layer has ended"));
      worker.on("message", message).on("error", failed).on("exit", exited);
      worker.postMessage({ number, what: job } satisfies Numbered<Job>, transfer);
    });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}

/** What a thread does. `say` takes its messages. */
export async function runLayerJob(
  { number, what: job }: Numbered<Job>,
  post: (message: Numbered<Message>) => void,
): Promise<void> {
  const say = (what: Message): void => post({ number, what });
  try {
    const answer =
      job.kind === "unpack"
        ? await unpackFrom(job.path, job.port)
        : await readTo(job.source, job.port, { ...job.options, progress: (read) => say({ read }) });
    say({ answer });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    say({ error: error.message });
  } finally {
    job.port.close();
  }
}

/** How many pieces go round. */
const pieces = 8;

/** Reads a source, and sends the pieces through a port, through which they come back. */
async function readTo(source: LayerSource, port: MessagePort, options: BuildOptions): Promise<ReadArchive> {
  const empty: Buffer[] = [];
  for (let count = 0; count < pieces; count++) empty.push(Buffer.allocUnsafeSlow(pieceSize));
  let waiting: { resolve(piece: Buffer): void; reject(error: Error): void } | undefined;
  port.on("message", (piece: ArrayBuffer) => {
    const buffer = Buffer.from(piece);
    if (waiting === undefined) empty.push(buffer);
    else waiting.resolve(buffer);
    waiting = undefined;
  });
  let closed = false;
  const writerEnded = (): StoreError => new StoreError("the thread that writes a layer has ended");
  port.on("close", () => {
    closed = true;
    waiting?.reject(writerEnded());
  });
  let told = 0;
  const sink: PieceSink = {
    take: () =>
      empty.pop() ??
      new Promise((resolve, reject) => {
        if (closed) reject(writerEnded());
        else waiting = { resolve, reject };
      }),
    send: (piece, length) => {
      const memory = piece.buffer as ArrayBuffer;
      port.postMessage({ piece: memory, length } satisfies Piece, [memory]);
    },
    progress: (read) => {
      if (read - told < 4 * pieceSize) return;
      told = read;
      options.progress?.(read);
    },
  };
  try {
    const archive = await readSource(source, sink);
    checkDigests(archive, options);
    port.postMessage({ archive } satisfies Piece);
    return archive;
  } finally {
    port.close();
  }
}

async function unpackFrom(path: string, port: MessagePort): Promise<BuiltLayer> {
  const builder = await LayerBuilder.create(path);
  try {
    const archive = await new Promise<ReadArchive>((resolve, reject) => {
      port.on("message", (said: Piece) => {
        if ("archive" in said) return resolve(said.archive);
        try {
          builder.push(Buffer.from(said.piece, 0, said.length));
          const giveBack = (): void => port.postMessage(said.piece, [said.piece]);
          const { backlog } = builder;
          if (backlog === undefined) giveBack();
          else backlog.then(giveBack, reject);
        } catch (error) {
          reject(error);
        }
      });
    });
    return await builder.finish(archive);
  } finally {
    builder.close();
  }
}
