import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { attempt, type Ended } from "./command.js";
import type { ImageDocument } from "./images.js";
import { cowfsProgram } from "./mounts.js";
import type { Store } from "./store.js";

/** Writes files of a build context; a name that ends with a slash is a directory. Returns the context's path. */
export function writeContext(path: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(path, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const file = join(path, name);
    mkdirSync(name.endsWith("/") ? file : dirname(file), { recursive: true });
    if (!name.endsWith("/")) writeFileSync(file, content);
  }
  return path;
}

/** How a build ended, and the image that it made. */
export interface Built extends Ended {
  readonly id: string;
  /** The sources of the steps that were taken from the cache. */
  readonly cached: readonly string[];
}

/** Builds, with lines on stderr. */
export async function attemptBuild(
  store: Store,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Built> {
  const line = ["--root", store.path, "image", "build", "--progress", "plain", ...words];
  const ended = await attempt(cowfsProgram, line, { timeout: 120_000, env: { ...process.env, ...env } });
  const lines = ended.stderr.split("\n");
  const cached = lines.flatMap((line, index) =>
    /^ {2}CACHED/.test(line) ? [(lines[index - 1] ?? "").replace(/^\[[^\]]*\] /, "")] : [],
  );
  return { ...ended, id: ended.stdout.trim(), cached };
}

/** The same, of what must succeed. */
export async function build(
  store: Store,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Built> {
  const built = await attemptBuild(store, words, env);
  if (built.status !== 0 || !/^sha256:[0-9a-f]{64}$/.test(built.id)) {
    throw new Error(`image build ${words.join(" ")}: status ${built.status}\n${built.stdout}${built.stderr}`);
  }
  return built;
}

/** The configuration of an image, as it is on disk. */
export async function configOf(store: Store, word: string): Promise<ImageDocument> {
  const id = (await store.ok("image", "inspect", "-f", "{{.Id}}", word)).trim();
  return JSON.parse(readFileSync(`${store.path}/images/${id.slice(7)}/config.json`, "utf8")) as ImageDocument;
}
