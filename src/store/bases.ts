/**
 * Base trees: whole trees of images, for the storage drivers that have no union (`btrfs`, `vfs`). `bases/DRIVER/HEX/tree`, where HEX is the chain id of
 * the layers, as in OCI images. Who makes one publishes it by a rename; it stays as long as an image has its layers.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory } from "./atomic.js";
import type { DataRoot } from "./data-root.js";
import { digestHex } from "./names.js";

/** The chain id of layers, the lowest first: 64 hexadecimal digits; zeros for none. */
export function chainHex(layers: readonly string[]): string {
  let chain = "";
  for (const layer of layers) {
    chain = chain === "" ? layer : `sha256:${createHash("sha256").update(`${chain} ${layer}`).digest("hex")}`;
  }
  return chain === "" ? "0".repeat(64) : digestHex(chain);
}

/** The directory of a base tree, whether it exists or not. */
export function baseDirectory(root: DataRoot, driver: string, layers: readonly string[]): string {
  return join(root.bases, driver, chainHex(layers));
}

/** The directories of the base trees that no image can have; `images` are all that there are, each with its layers. */
export function unusedBases(root: DataRoot, images: readonly { readonly layers: readonly string[] }[]): string[] {
  if (!existsSync(root.bases)) return [];
  const used = new Set<string>();
  for (const { layers } of images) {
    // Those of the lower layers alone are what others were made of.
    for (let count = layers.length; count >= 0; count--) {
      const hex = chainHex(layers.slice(0, count));
      if (used.has(hex)) break;
      used.add(hex);
    }
    used.add(chainHex([]));
  }
  return readdirSync(root.bases).flatMap((driver) =>
    readdirSync(join(root.bases, driver))
      .filter((hex) => !used.has(hex))
      .map((hex) => join(root.bases, driver, hex)),
  );
}

/** Moves base trees to the directory `into`. The store lock must be held. */
export function takeBases(paths: readonly string[], into: string): void {
  for (const [index, path] of paths.entries()) {
    renameSync(path, join(into, `base-${index}`));
    syncDirectory(join(path, ".."));
  }
}
