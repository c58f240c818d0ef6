import { isatty } from "node:tty";
import type { Command } from "commander";
import { parsePlatform } from "../../store/archive/platform.js";
import { loadImages } from "../../store/load-images.js";
import { print, UsageError } from "../exit.js";
import { rootOf } from "../root-option.js";
import type { LoadWords } from "./incoming.js";
import { layerProgress, progressForm } from "./progress.js";

/** `cowfs image load`: prints what was loaded, as Docker does. */
export async function loadCommand(command: Command, path: string | undefined, words: LoadWords): Promise<number> {
  const { input, json = false } = words;
  if (path !== undefined && input !== undefined) throw new UsageError("the archive is named twice");
  const named = path ?? input;
  const source = named === "-" ? undefined : named;
  // Not `process.stdin`: to make that, Node lets a pipe answer EAGAIN when it is empty, also to whoever reads it here.
  if (source === undefined && isatty(0)) {
    throw new UsageError("there is nothing to load: name an archive, or give it on the standard input");
  }
  const platform = words.platform === undefined ? undefined : parsePlatform(words.platform);
  const progress = layerProgress(progressForm(words));
  const existing = new Set<string>();
  const built: { readonly diffId: string; readonly size: number }[] = [];
  let images: Awaited<ReturnType<typeof loadImages>>;
  try {
    images = await loadImages(rootOf(command), source, {
      ...(platform && { platform }),
      tell: (event) => {
        if (event.kind === "exists") existing.add(event.diffId);
        if (event.kind === "built") built.push({ diffId: event.diffId, size: event.size });
        progress.tell(event);
      },
    });
  } finally {
    progress.end();
  }
  if (json) {
    print(`${JSON.stringify({ images, layers: { built, existing: [...existing] } })}\n`);
    return 0;
  }
  for (const { id, names } of images) {
    if (names.length === 0) print(`Loaded image ID: ${id}\n`);
    for (const name of names) print(`Loaded image: ${name}\n`);
  }
  return 0;
}
