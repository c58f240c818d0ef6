/**
 * Layers from archives, in this thread or on two others: one reads, decompresses and hashes, the other one writes the tree. What they hand each other are
 * pieces of memory that go round, so no byte is copied for it. A small archive is done before the threads would have started.
 */
import { basename, dirname, join } from "node:path";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { StoreError } from "../error.js";
import { checkInterruption, interruption } from "../interruption.js";
import type { BuiltLayer, LayerOptions } from "../layers.js";
import { shortId } from "../names.js";
import { synced } from "../synced.js";
import { LayerBuilder } from "./layer-builder.js";
import { type PieceSink, pieceSize, type ReadArchive } from "./pieces.js";
import { type FileSource, isFile, type LayerSource, peek, readSource } from "./read-source.js";
import { readOnThread, readsOnThread } from "./threaded-read.js";

export interface BuildOptions extends LayerOptions {
  /** Of the source as it is, if that is known: throws StoreError if it has another one. */
  readonly expectedBlobDigest?: string;
}

/** What is worth threads: those of JavaScript take 20 ms to start, and compile the code anew. */
const smallArchive = 8 * 1024 * 1024;
/** So much is waited for of what comes through a pipe or is made meanwhile: one that is complete then is small. */
const smallStream = 2 * 1024 * 1024;

/** Builds a layer in the directory `path`, which must not exist, and syncs it. Throws StoreError; what is in `path` then is the caller's to remove. */
export async function buildLayer(path: string, source: LayerSource, options: BuildOptions = {}): Promise<BuiltLayer> {
  const team = new LayerTeam(true);
  try {
    return await synced(dirname(path), () => team.build(path, source, options));
  } finally {
    await team.end();
  }
}

/** Threads that build layers, two at once: one reads, decompresses and hashes, one reads the archive and has its files written. */
export class LayerTeam {
  private reader: LayerThread | undefined;
  private unpacker: LayerThread | undefined;

  /** With `here` this thread is the second of the two: one to start less, and one that compiles the code. */
  constructor(private readonly here: boolean) {}

  /** As `buildLayer`, but what it wrote is the caller's to sync. */
  async build(path: string, source: LayerSource, options: BuildOptions): Promise<BuiltLayer> {
    if (programPath === undefined) return buildHere(path, source, options);
    checkInterruption();
    if (!isFile(source)) {
      const { head, ended, rest } = await peek(source, smallStream);
      return ended ? buildHere(path, [head], options) : this.buildApart(programPath, path, rest, options);
    }
    if (source.length < smallArchive) return buildHere(path, source, options);
    if (!readsOnThread(source)) return this.buildApart(programPath, path, source, options);
    if (this.here) return buildReading(path, source, options);
    const unpacker = this.takeUnpacker(programPath);
    const interrupted = (): void => void this.end();
    interruption.addEventListener("abort", interrupted);
    try {
      const job: Job = { kind: "build", path, source, options: expected(options) };
      return (await unpacker.run(job, undefined, options.progress)) as BuiltLayer;
    } finally {
      interruption.removeEventListener("abort", interrupted);
      checkInterruption();
    }
  }

  private takeUnpacker(program: string): LayerThread {
    this.unpacker ??= new LayerThread(program);
    return this.unpacker;
  }

  /** Read by a thread of JavaScript, or here what is in no file. */
  private async buildApart(
    program: string,
    path: string,
    source: LayerSource,
    options: BuildOptions,
  ): Promise<BuiltLayer> {
    const memory = new SharedArrayBuffer(pieces * pieceSize);
    const { port1, port2 } = new MessageChannel();
    const way = { memory, port: port1 };
    const wayBack = { memory, port: port2 };
    if (isFile(source)) this.reader ??= new LayerThread(program);
    // What is not in a file comes to this thread, which reads it then.
    const reading = isFile(source)
      ? (this.reader as LayerThread).run(
          { kind: "read", source, way: wayBack, options: expected(options) },
          port2,
          options.progress,
        )
      : readTo(source, wayBack, options);
    let unpacking: Promise<Answer>;
    const mine = !isFile(source) ? port2 : this.here ? port1 : undefined;
    if (mine === port1) unpacking = unpackFrom(path, way);
    else {
      unpacking = this.takeUnpacker(program).run({ kind: "unpack", path, way }, port1);
    }
    const interrupted = (): void => {
      mine?.close();
      void this.end();
    };
    interruption.addEventListener("abort", interrupted);
    const [built, read] = await Promise.allSettled([unpacking, reading]);
    interruption.removeEventListener("abort", interrupted);
    checkInterruption();
    if (built.status === "fulfilled" && read.status === "fulfilled") return built.value as BuiltLayer;
    // When one of the two fails, the other one does, for want of it.
    const reasons = [built, read].flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    throw reasons.find((reason) => !(reason instanceof OtherEndError)) ?? reasons[0];
  }

  async end(): Promise<void> {
    await Promise.all([this.reader?.end(), this.unpacker?.end()]);
    this.reader = undefined;
    this.unpacker = undefined;
  }
}

/** As the pieces come that native code reads. */
async function buildReading(path: string, source: FileSource, options: BuildOptions): Promise<BuiltLayer> {
  const builder = await LayerBuilder.create(path, true);
  try {
    const push = (content: Buffer, done: () => void): void => builder.push(content, done);
    const archive = await readOnThread(source, push, inLargeSteps(options.progress));
    checkDigests(archive, options);
    return builder.finish(archive);
  } finally {
    builder.close();
  }
}

/** Everything in this thread. */
async function buildHere(path: string, source: LayerSource, options: BuildOptions): Promise<BuiltLayer> {
  const builder = await LayerBuilder.create(path, false);
  try {
    const piece = Buffer.allocUnsafeSlow(pieceSize);
    const archive = await readSource(source, {
      take: () => piece,
      send: (_, length) => builder.push(piece.subarray(0, length)),
      progress: (read) => options.progress?.(read),
    });
    checkDigests(archive, options);
    return builder.finish(archive);
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
  | { readonly kind: "build"; readonly path: string; readonly source: FileSource; readonly options: Expected }
  | { readonly kind: "unpack"; readonly path: string; readonly way: Way }
  | { readonly kind: "read"; readonly source: FileSource; readonly way: Way; readonly options: Expected };

/**
 * One end of the way from reader to unpacker, and the memory that both see: transferring each piece would make garbage for V8 of a size that it
 * collects at once.
 */
interface Way {
  readonly memory: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** How many pieces go round. */
const pieces = 8;

/** The other end of the way was closed before all was done: its error tells why. */
class OtherEndError extends StoreError {}

/** How it ended. */
type Answer = BuiltLayer | ReadArchive;
type Message =
  | { readonly read: number }
  | { readonly answer: Answer }
  | { readonly error: string; readonly otherEnd: boolean };

/** One of the jobs that a thread has at a time. */
export interface Numbered<T> {
  readonly number: number;
  readonly what: T;
}

/** From reader to unpacker: which piece has how much content, or the end. Back goes the number of a piece that is empty again. */
type Piece = { readonly piece: number; readonly length: number } | { readonly archive: ReadArchive };

/** The program, to be run by a thread: the bundle's entry. Undefined where there is no bundle, in unit tests. */
const programPath = ((): string | undefined => {
  const here = import.meta.filename;
  return /^program-[0-9a-f]+\.js$/.test(basename(here)) ? join(dirname(here), "main.js") : undefined;
})();

class LayerThread {
  private readonly worker: Worker;
  private jobs = 0;

  constructor(program: string) {
    // Room for what 20,000 files need: collecting garbage in the middle of it costs a tenth of the time.
    this.worker = new Worker(program, { argv: ["--layer-thread"], resourceLimits: { maxYoungGenerationSizeMb: 96 } });
  }

  /** `port` is that of the job, if it has one. */
  run(job: Job, port: MessagePort | undefined, progress?: (read: number) => void): Promise<Answer> {
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
          else reject(said.otherEnd ? new OtherEndError(said.error) : new StoreError(said.error));
        }
      };
      const failed = (error: Error): void => {
        done();
        reject(error);
      };
      const exited = (): void => failed(new StoreError("a thread that builds a layer has ended"));
      worker.on("message", message).on("error", failed).on("exit", exited);
      worker.postMessage({ number, what: job } satisfies Numbered<Job>, port === undefined ? [] : [port]);
    });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}

/** What a thread does. */
export async function runLayerJob(
  { number, what: job }: Numbered<Job>,
  post: (message: Numbered<Message>) => void,
): Promise<void> {
  const say = (what: Message): void => post({ number, what });
  try {
    say({ answer: await answerTo(job, (read) => say({ read })) });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    say({ error: error.message, otherEnd: error instanceof OtherEndError });
  }
}

function answerTo(job: Job, progress: (read: number) => void): Promise<Answer> {
  switch (job.kind) {
    case "build":
      return buildReading(job.path, job.source, { ...job.options, progress });
    case "unpack":
      return unpackFrom(job.path, job.way);
    case "read":
      return readTo(job.source, job.way, { ...job.options, progress });
  }
}

/** Tells every few MiB. */
function inLargeSteps(progress: ((read: number) => void) | undefined): (read: number) => void {
  let told = 0;
  return (read) => {
    if (read - told < 4 * pieceSize) return;
    told = read;
    progress?.(read);
  };
}

/** Reads a source into pieces, sends word of each, and hears when it is empty again. Closes its end of the way. */
async function readTo(source: LayerSource, { memory, port }: Way, options: BuildOptions): Promise<ReadArchive> {
  const empty = Array.from({ length: pieces }, (_, piece) => Buffer.from(memory, piece * pieceSize, pieceSize));
  let waiting: { resolve(piece: Buffer): void; reject(error: Error): void } | undefined;
  port.on("message", (piece: number) => {
    const buffer = Buffer.from(memory, piece * pieceSize, pieceSize);
    if (waiting === undefined) empty.push(buffer);
    else waiting.resolve(buffer);
    waiting = undefined;
  });
  let closed = false;
  const writerEnded = (): StoreError => new OtherEndError("the thread that writes a layer has ended");
  port.on("close", () => {
    closed = true;
    waiting?.reject(writerEnded());
  });
  const sink: PieceSink = {
    take: () =>
      empty.pop() ??
      new Promise((resolve, reject) => {
        if (closed) reject(writerEnded());
        else waiting = { resolve, reject };
      }),
    send: (piece, length) => {
      port.postMessage({ piece: piece.byteOffset / pieceSize, length } satisfies Piece);
    },
    progress: inLargeSteps(options.progress),
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

/** Builds a layer from the pieces that a reader sends. Closes its end of the way. */
async function unpackFrom(path: string, { memory, port }: Way): Promise<BuiltLayer> {
  // Before anything else: a reader that fails at once closes its end before there is a builder.
  const closed = new Promise<never>((_, reject) => {
    port.on("close", () => reject(new OtherEndError("the thread that reads an archive has ended")));
  });
  closed.catch(() => {});
  try {
    const builder = await LayerBuilder.create(path, true);
    try {
      const read = new Promise<ReadArchive>((resolve, reject) => {
        port.on("message", (said: Piece) => {
          if ("archive" in said) return resolve(said.archive);
          try {
            const { piece } = said;
            builder.push(Buffer.from(memory, piece * pieceSize, said.length), () => port.postMessage(piece));
          } catch (error) {
            reject(error);
          }
        });
      });
      return builder.finish(await Promise.race([read, closed]));
    } finally {
      builder.close();
    }
  } finally {
    port.close();
  }
}
