/** COPY and ADD: which files of the context, of another stage or of an image are copied, and what decides the result. */
import { posix } from "node:path";
import { O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { StoreError } from "../store/error.js";
import { bytesOf, shown } from "../text.js";
import { isArchive } from "./archives.js";
import { pathsOf } from "./check-step.js";
import { type CopiedPaths, readContent } from "./content.js";
import { heredocName, type Statement } from "./dockerfile.js";
import { expand, expandText } from "./expand.js";
import type { SourceTree } from "./source-tree.js";
import type { StageState } from "./stage-state.js";

/** One thing to be copied. */
export type Source =
  | { readonly kind: "archive"; readonly real: string; readonly digest: string; readonly paths: CopiedPaths }
  | { readonly kind: "inline"; readonly name: string; readonly text: string }
  | {
      readonly kind: "object";
      /** What a file is called in a directory: bytes. */
      readonly name: string;
      readonly real: string;
      readonly isDirectory: boolean;
      readonly digest: string;
      readonly paths: CopiedPaths;
    };

/** All that the cache goes by, and what is needed to do it. */
export interface Copy {
  readonly sources: readonly Source[];
  /** Absolute. */
  readonly destination: string;
  /** It is a directory, whether it is there or not. */
  readonly isDirectory: boolean;
  readonly chown: string | undefined;
  readonly mode: number | undefined;
  readonly keepsOwners: boolean;
}

/** Reads all sources. `isContext`: what comes from there is root's. Throws StoreError. */
export async function copyOf(
  step: Statement,
  state: StageState,
  escapeChar: string,
  tree: SourceTree,
  isContext: boolean,
): Promise<Copy> {
  const read = (text: string): string => expand(text, state.lookup, escapeChar);
  const words = pathsOf(step);
  const destination = read(words.pop() ?? "");
  if (destination === "") throw new StoreError("the destination is empty");
  const sources: Source[] = [];
  for (const word of words) {
    const inline = heredocName(word);
    const heredoc = step.heredocs.find(({ name }) => name === inline);
    if (heredoc !== undefined) {
      const { name, content, expands } = heredoc;
      sources.push({ kind: "inline", name, text: expands ? expandText(content, state.lookup, escapeChar) : content });
    } else sources.push(...(await sourcesOf(tree, read(word), step.keyword === "ADD", isContext)));
  }
  const isDirectory = /(^|\/)\.{0,2}$/.test(destination);
  if (sources.length > 1 && !isDirectory) {
    throw new StoreError(
      `with ${sources.length} sources the destination must be a directory, and end with a slash: ${destination}/`,
    );
  }
  const flag = (name: string): string | undefined => {
    const value = step.flags.find(([one]) => one === name)?.[1];
    return value === undefined ? undefined : read(value);
  };
  return {
    sources,
    destination: posix.resolve(state.workingDirectory, destination),
    isDirectory,
    chown: flag("chown"),
    mode: modeOf(flag("chmod")),
    keepsOwners: !isContext,
  };
}

async function sourcesOf(tree: SourceTree, word: string, unpacks: boolean, isContext: boolean): Promise<Source[]> {
  const { what } = tree.options;
  const found = tree.find(bytesOf(word));
  if (found.length === 0) throw new StoreError(`no file in ${what} is like ${word}`);
  const sources: Source[] = [];
  for (const path of found) {
    const real = tree.resolve(path);
    if (real === undefined)
      throw new StoreError(
        `${shown(path)} is not in ${what}${tree.isIgnored(path) ? ": .dockerignore leaves it out" : ""}`,
      );
    const stat = tree.stat(real);
    const { digest, paths } = await readContent(tree, real, !isContext);
    if (unpacks && stat.isRegular && (await readsAsArchive(tree, real, stat.size))) {
      sources.push({ kind: "archive", real, digest, paths });
    } else {
      const name = path.split("/").at(-1) ?? "";
      sources.push({ kind: "object", name, real, isDirectory: stat.isDirectory, digest, paths });
    }
  }
  return sources;
}

async function readsAsArchive(tree: SourceTree, real: string, length: number): Promise<boolean> {
  const fd = tree.open(real, O_RDONLY);
  try {
    return await isArchive({ fd, offset: 0, length });
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    throw new StoreError(`${shown(real)}: ${cause.message}`, { cause });
  } finally {
    native.close(fd);
  }
}

function modeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-7]{3,4}$/.test(text)) throw new StoreError(`--chmod takes three or four octal digits, and ${text} is none`);
  return Number.parseInt(text, 8);
}

/** What of a copy decides its result, for the key of the cache. */
export function copyKey({ sources, ...rest }: Copy): unknown {
  return [
    rest,
    sources.map((source) => ("paths" in source ? { ...source, paths: undefined, real: undefined } : source)),
  ];
}
