import type { Command } from "commander";
import { parsePlatform } from "../../store/archive/platform.js";
import { importImage } from "../../store/import-image.js";
import { imageName } from "../../store/names.js";
import { complain, print, UsageError } from "../exit.js";
import { rootOf } from "../root-option.js";
import type { ImportWords } from "./incoming.js";
import { progressForm, singleProgress } from "./progress.js";

/** `cowfs image import`: prints the id of the new image. */
export async function importCommand(
  command: Command,
  source: string | undefined,
  name: string | undefined,
  words: ImportWords,
): Promise<number> {
  const { base, change = [], message, tag = [], json = false } = words;
  if (source === undefined && base === undefined) {
    throw new UsageError("name a tar archive, a directory or -; without one, the image to change (--base)");
  }
  const names = [...(name === undefined ? [] : [name]), ...tag].map(imageName);
  const platform = words.platform === undefined ? undefined : parsePlatform(words.platform);
  const progress = singleProgress(progressForm(words), "importing");
  let result: Awaited<ReturnType<typeof importImage>>;
  try {
    const { tell } = progress;
    result = await importImage(rootOf(command), {
      source,
      base,
      changes: change,
      message,
      platform,
      names,
      progress: tell,
    });
  } finally {
    progress.end();
  }
  const { image, layer } = result;
  for (const warning of layer?.warnings ?? []) complain(warning);
  const made = {
    id: image.id,
    names,
    ...(layer && { layer: { diffId: layer.record.diffId, size: layer.record.size } }),
  };
  print(json ? `${JSON.stringify(made)}\n` : `${image.id}\n`);
  return 0;
}
