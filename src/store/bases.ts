/**
 * Base trees: whole trees of images, for the storage drivers that have no union (`btrfs`, `vfs`). `bases/DRIVER/HEX/tree`, where HEX is the chain id of
 * the layers, as in OCI images, and `base.json` beside it. Who makes one publishes it by a rename; it stays as long as an image has its layers.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory } from "./atomic.js";
import type { DataRoot } from "./data-root.js";
import { digestHex } from "./names.js";
import type { ImageRecord } from "./records.js";

/** `base.json`. */
interface BaseRecord {
  readonly schema: 1;
  readonly size: number;
}

/** A base tree that is there. */
export interface BaseTree {
  readonly driver: string;
  /** The chain id of its layers. */
  readonly hex: string;
  /** How many bytes the files hold that it does not share with another base tree. */
  readonly size: number;
  /** The ids of the images that have its layers, and maybe more. */
  readonly images: readonly string[];
}

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

/** Records what a base tree weighs, in the directory that is to be published. */
export function writeBaseRecord(directory: string, size: number): void {
  writeFileSync(join(directory, "base.json"), JSON.stringify({ schema: 1, size } satisfies BaseRecord), {
    flush: true,
  });
}

function sizeOf(directory: string): number {
  try {
    return (JSON.parse(readFileSync(join(directory, "base.json"), "utf8")) as BaseRecord).size;
  } catch {
    // It was removed a moment ago, or is not whole.
    return 0;
  }
}

/** The base trees that there are; `images` are all images. */
export function baseTrees(root: DataRoot, images: readonly Layered[]): BaseTree[] {
  if (!existsSync(root.bases)) return [];
  const users = new Map<string, string[]>([[chainHex([]), images.map(({ id }) => id)]]);
  for (const { id, layers } of images) {
    // Those of the lower layers alone are what others were made of.
    for (let count = layers.length; count > 0; count--) {
      const hex = chainHex(layers.slice(0, count));
      users.set(hex, [...(users.get(hex) ?? []), id]);
    }
  }
  return readdirSync(root.bases).flatMap((driver) =>
    readdirSync(join(root.bases, driver)).map((hex) => ({
      driver,
      hex,
      size: sizeOf(join(root.bases, driver, hex)),
      images: users.get(hex) ?? [],
    })),
  );
}

type Layered = Pick<ImageRecord, "id" | "layers">;

/** The directories of the base trees that no image can have; `images` are all images. */
export function unusedBases(root: DataRoot, images: readonly Layered[]): string[] {
  const unused = baseTrees(root, images).filter((base) => base.images.length === 0);
  return unused.map(({ driver, hex }) => join(root.bases, driver, hex));
}

/** Moves base trees to the directory `into`. The store lock must be held. Returns how many bytes that frees when they are removed. */
export function takeBases(paths: readonly string[], into: string): number {
  let bytes = 0;
  for (const [index, path] of paths.entries()) {
    bytes += sizeOf(path);
    renameSync(path, join(into, `base-${index}`));
    syncDirectory(join(path, ".."));
  }
  return bytes;
}
