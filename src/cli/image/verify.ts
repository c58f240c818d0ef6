import { readdirSync } from "node:fs";
import type { Command } from "commander";
import { findImage, listImages } from "../../store/images.js";
import { shortId } from "../../store/names.js";
import { type LayerDifference, verifyArchive, verifyLayer } from "../../store/verify-layer.js";
import { shown } from "../../text.js";
import { EXIT_FAILURE, messageOf, print, UsageError } from "../exit.js";
import { rootOf } from "../root-option.js";
import type { VerifyWords } from "./incoming.js";

/** `cowfs image verify`: a line for each difference; exit code 1 if there is one. */
export async function verifyCommand(command: Command, words: readonly string[], options: VerifyWords): Promise<number> {
  const { all = false, digests = false, quiet = false, json = false } = options;
  if (!all && words.length === 0) throw new UsageError("name the images to verify, or --all");
  const root = rootOf(command);
  const images = all ? listImages(root) : words.map((word) => findImage(root, word));
  const layers = new Set(images.flatMap((image) => image.layers));
  if (all) {
    for (const name of readdirSync(root.layers)) if (/^[0-9a-f]{64}$/.test(name)) layers.add(`sha256:${name}`);
  }
  const results: { layer: string; differences: { path: string; what: string }[] }[] = [];
  for (const diffId of layers) {
    const differences: LayerDifference[] = [];
    try {
      differences.push(...(await verifyLayer(root, diffId)));
      if (digests) differences.push(...(await verifyArchive(root, diffId)));
    } catch (error) {
      differences.push({ path: "", what: messageOf(error) });
    }
    results.push({
      layer: diffId,
      differences: differences.map(({ path, what }) => ({ path: `/${shown(path)}`, what })),
    });
    if (json) continue;
    for (const { path, what } of results.at(-1)?.differences ?? []) print(`${shortId(diffId)} ${path}: ${what}\n`);
    if (!quiet && differences.length === 0) print(`${shortId(diffId)} is as it was\n`);
  }
  if (json) print(`${JSON.stringify(results)}\n`);
  return results.some(({ differences }) => differences.length > 0) ? EXIT_FAILURE : 0;
}
