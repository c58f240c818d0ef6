import { createWriteStream, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Command } from "commander";
import { type ArchiveMember, archiveOf, contentOf } from "../../store/archive/archive-writer.js";
import { dockerArchive, layersOf, ociLayout, saveFormats } from "../../store/archive/save-image.js";
import { type DataRoot, reason } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { findImage, type NamedImage } from "../../store/images.js";
import { interruption } from "../../store/interruption.js";
import { readLayer } from "../../store/layers.js";
import { CommandError, UsageError } from "../exit.js";
import { writeArchiveDirectory } from "../output/archive-directory.js";
import { writeArchiveFile } from "../output/archive-file.js";
import { rootOf } from "../root-option.js";
import { progressForm, singleProgress } from "./progress.js";

export interface SaveCommandOptions {
  readonly output?: string;
  readonly format?: string;
  readonly compress?: string;
  readonly quiet?: boolean;
  readonly progress?: string;
}

/** `cowfs image save [-o FILE] IMAGE…`. */
export async function imageSaveCommand(
  command: Command,
  words: readonly string[],
  options: SaveCommandOptions,
): Promise<number> {
  const format = saveFormats.find((name) => name === (options.format ?? "docker-archive"));
  if (format === undefined) throw new UsageError(`--format ${options.format}: known are ${saveFormats.join(", ")}`);
  if (options.compress !== undefined && options.compress !== "gzip" && options.compress !== "none") {
    throw new UsageError(`--compress ${options.compress}: known are gzip and none`);
  }
  const { output } = options;
  if (format === "oci-dir" && output === undefined) throw new UsageError("--format oci-dir needs -o DIRECTORY");
  if (output === undefined && process.stdout.isTTY) {
    throw new CommandError("an archive is not written to a terminal: name a file with -o, or redirect the output");
  }
  const root = rootOf(command);
  const images = chosen(root, words);
  const gzip = options.compress === "gzip";
  // Whoever gets the archive through a pipe has a progress of his own.
  const form = progressForm(output === undefined && options.progress === undefined ? { quiet: true } : options);
  const shown = singleProgress(form, "saving");
  const total = layersOf(images).reduce((sum, diffId) => sum + readLayer(root, diffId).archiveSize, 0);
  let read = 0;
  const progress = (bytes: number): void => {
    read += bytes;
    shown.tell(read, total);
  };
  try {
    if (format === "oci-dir") await writeDirectory(ociLayout(root, images, { gzip, progress }), resolve(output ?? ""));
    else {
      const members = format === "docker-archive" ? dockerArchive : ociLayout;
      const archive = Readable.from(archiveOf(members(root, images, { gzip, progress })), { objectMode: false });
      const through = format === "docker-archive" && gzip ? [createGzip()] : [];
      await writeArchiveFile(output, (to) => pipeline([archive, ...through, to], { signal: interruption }));
    }
  } catch (cause) {
    if (cause instanceof StoreError || cause instanceof CommandError) throw cause;
    throw new StoreError(`the image cannot be saved${output === undefined ? "" : ` to ${output}`}: ${reason(cause)}`, {
      cause,
    });
  } finally {
    shown.end();
  }
  return 0;
}

/** The images, each once, with those of their names that were asked for: what is named by its id is saved without a name. */
function chosen(root: DataRoot, words: readonly string[]): NamedImage[] {
  const images = new Map<string, NamedImage>();
  for (const word of words) {
    const image = findImage(root, word);
    const names = new Set(images.get(image.id)?.names);
    if (image.foundBy !== undefined) names.add(image.foundBy);
    images.set(image.id, { ...image, names: [...names] });
  }
  return [...images.values()];
}

async function writeDirectory(members: AsyncIterable<ArchiveMember>, output: string): Promise<void> {
  await writeArchiveDirectory(output, async (directory) => {
    for await (const member of members) {
      const path = join(directory, member.path);
      mkdirSync(dirname(path), { recursive: true });
      const content = Readable.from(contentOf(member), { objectMode: false });
      await pipeline(content, createWriteStream(path, { flush: true }), { signal: interruption });
    }
  });
}
