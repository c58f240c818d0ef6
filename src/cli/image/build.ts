import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { buildImage } from "../../build/build-image.js";
import { type Dockerfile, parseDockerfile } from "../../build/dockerfile.js";
import { IgnoreRules } from "../../build/ignore.js";
import { SourceTree } from "../../build/source-tree.js";
import { O_NONBLOCK, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { writeAtomically } from "../../store/atomic.js";
import { reason } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { readConfig } from "../../store/images.js";
import { interrupt, interruption } from "../../store/interruption.js";
import { imageName } from "../../store/names.js";
import { bytesOf } from "../../text.js";
import { daemonMounter } from "../container/mounter.js";
import { complain, print, UsageError } from "../exit.js";
import { rootOf } from "../root-option.js";
import { buildReporter } from "./build-progress.js";

export interface BuildWords {
  readonly file?: string;
  readonly tag?: string[];
  readonly buildArg?: string[];
  readonly target?: string;
  /** False after `--no-cache`. */
  readonly cache?: boolean;
  readonly progress?: string;
  readonly quiet?: boolean;
  readonly json?: boolean;
  readonly iidfile?: string;
}

/** Files longer than this are no Dockerfiles. */
const longestFile = 16 << 20;

/** A signal has ended the build. */
class Interrupted extends Error {
  constructor(readonly exitCode: number) {
    super("interrupted: nothing is left of the step that was under way; those before it are in the cache");
  }
}

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** `cowfs image build`: prints the id of the image. */
export async function buildCommand(command: Command, path: string, words: BuildWords): Promise<number> {
  const { tag = [], quiet = false, json = false, iidfile } = words;
  const names = tag.map(imageName);
  const buildArgs = argumentsOf(words.buildArg ?? []);
  const reporter = buildReporter(words.progress, quiet || json);
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    throw new StoreError(
      `the build context ${path} is no directory: name one that holds a Dockerfile and what it copies`,
    );
  }
  // That nobody reads how far it is (`2>&1 | head`) is no reason to leave mounts behind.
  process.stderr.on("error", () => {});
  const root = rootOf(command);
  const context = new SourceTree(path, { what: "the build context", isClosed: true });
  const stop = (name: keyof typeof signals) => (): void => interrupt(new Interrupted(signals[name]));
  const listeners = (Object.keys(signals) as (keyof typeof signals)[]).map((name) => [name, stop(name)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  try {
    const dockerfile = dockerfileOf(context, words.file);
    ignoreFiles(context, words.file);
    const image = await buildImage(root, {
      dockerfile,
      context,
      buildArgs,
      target: words.target,
      names,
      cached: words.cache !== false,
      epoch: epochOf(buildArgs.get("SOURCE_DATE_EPOCH") ?? process.env["SOURCE_DATE_EPOCH"]),
      mounter: daemonMounter,
      reporter,
      signal: interruption,
    });
    reporter.close();
    if (iidfile !== undefined) writeAtomically(iidfile, image.id);
    const layers = readConfig(root, image.id).rootfs.diff_ids;
    print(json ? `${JSON.stringify({ id: image.id, names, layers })}\n` : `${image.id}\n`);
    return 0;
  } catch (error) {
    reporter.fail();
    if (!(error instanceof Interrupted)) throw error;
    complain(error.message);
    return error.exitCode;
  } finally {
    for (const [name, listener] of listeners) process.off(name, listener);
    context.close();
  }
}

/** `K=V`, or `K` for the value that it has here. Throws UsageError. */
function argumentsOf(words: readonly string[]): Map<string, string> {
  const args = new Map<string, string>();
  for (const word of words) {
    const name = word.split("=", 1)[0] ?? "";
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new UsageError(`invalid build argument ${word}: write NAME=VALUE or NAME`);
    const value = word.includes("=") ? word.slice(name.length + 1) : process.env[name];
    if (value !== undefined) args.set(name, value);
  }
  return args;
}

/** SOURCE_DATE_EPOCH as its specification has it. Throws UsageError. */
function epochOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^\d{1,11}$/.test(text)) throw new UsageError(`SOURCE_DATE_EPOCH is ${text}: seconds since 1970 are expected`);
  return Number(text);
}

/** The one that is named, wherever it is, `-` for the standard input; otherwise that of the context. Throws StoreError. */
function dockerfileOf(context: SourceTree, file: string | undefined): Dockerfile {
  if (file === undefined) {
    const bytes = fileIn(context, "Dockerfile");
    if (bytes === undefined) throw new StoreError("the build context has no Dockerfile: name one with --file");
    return parseDockerfile(bytes.toString("utf8"), "Dockerfile");
  }
  const bytes = readNamed(file === "-" ? 0 : file, `the Dockerfile ${file}`);
  return parseDockerfile(bytes.toString("utf8"), file === "-" ? "Dockerfile" : file);
}

/** Throws StoreError. */
function readNamed(file: string | 0, what: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new StoreError(`${what} cannot be read: ${reason(cause)}`, { cause });
  }
}

/** `NAME.dockerignore` beside a Dockerfile that is named goes before the `.dockerignore` of the context. */
function ignoreFiles(context: SourceTree, file: string | undefined): void {
  if (file !== undefined && file !== "-" && existsSync(`${file}.dockerignore`)) {
    const own = `${file}.dockerignore`;
    context.ignore(new IgnoreRules(readNamed(own, own).toString("latin1"), basename(own)));
    return;
  }
  const bytes = fileIn(context, ".dockerignore");
  if (bytes !== undefined) context.ignore(new IgnoreRules(bytes.toString("latin1"), ".dockerignore"));
}

/** A file of the context, or undefined. Throws StoreError if it leads out of it, or is no file. */
function fileIn(context: SourceTree, name: string): Buffer | undefined {
  const real = context.resolve(bytesOf(name));
  if (real === undefined) return undefined;
  const { isRegular, size } = context.stat(real);
  if (!isRegular || size > longestFile) throw new StoreError(`${name} is no file that could be read`);
  const fd = context.open(real, O_RDONLY | O_NONBLOCK);
  try {
    const bytes = Buffer.alloc(size);
    const length = native.pread(fd, bytes, 0, size, 0);
    if (length < 0) throw new StoreError(`${join("the build context", name)} cannot be read (${length})`);
    return bytes.subarray(0, length);
  } finally {
    native.close(fd);
  }
}
