import { readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { EEXIST, errnoName } from "../errno.js";
import { AT_FDCWD, O_DIRECTORY, O_PATH, O_RDONLY, RENAME_NOREPLACE } from "../native/constants.js";
import { native } from "../native/index.js";
import { bytesOf } from "../text.js";
import { copyAttributes, copyTree, statDirectory } from "./copy-tree.js";
import type { DataRoot } from "./data-root.js";
import { StoreError } from "./error.js";
import { removeTree } from "./temporary.js";
import { volumeMount } from "./volume-options.js";
import { volumeData, volumeDirectory } from "./volume-places.js";
import { localDriver, withVolumeLock } from "./volume-records.js";

/*
 * How a volume gets its first content. It is copied into `.populating` beside the data; when all of it is on the disk, that becomes
 * `.populated` by a rename, and its entries move into the data, one rename each. A crash before leaves a copy that the next one throws away;
 * a crash after leaves one that the next one finishes moving. The data directory itself stays the same, for those who have it mounted, and no
 * file that somebody put there meanwhile is replaced. A volume that is mounted by its options has both directories inside, since a
 * rename does not cross file systems.
 */
const unfinished = ".populating";
const complete = ".populated";

/** Does something while nobody else fills this volume, whose content is in `data`, with the place for what is unfinished. */
function withPlace<T>(root: DataRoot, name: string, data: string, work: (place: string) => T | Promise<T>): Promise<T> {
  return withVolumeLock(root, name, ({ driver, options }) => {
    const isPlain = driver === localDriver && volumeMount(options) === undefined;
    return work(isPlain ? dirname(data) : data);
  });
}

/**
 * Copies what is in a directory (an O_PATH descriptor) into a volume whose content is in `data`, if nothing is in that; also the directory's
 * owner and mode. Returns false if something is in it. Throws StoreError, and leaves the volume empty.
 */
export function populateVolume(root: DataRoot, name: string, data: string, source: number): Promise<boolean> {
  return fillVolume(root, name, data, async (target) => {
    await copyTree(source, target);
    copyAttributes(source, target);
  });
}

/**
 * Gives a volume its first content, which `build` puts into a directory (a descriptor, not O_PATH). Returns false, and does nothing, if
 * something is in the volume. Throws StoreError, and what `build` throws, and leaves the volume empty then.
 */
export function fillVolume(
  root: DataRoot,
  name: string,
  data: string,
  build: (target: number) => void | Promise<void>,
): Promise<boolean> {
  return withPlace(root, name, data, async (place) => {
    mend(place, data);
    if (readdirSync(data).length > 0) return false;
    const built = join(place, unfinished);
    try {
      await buildIn(built, build);
      publishContent(built, join(place, complete));
    } catch (error) {
      removeTree(built);
      throw new StoreError(`the volume ${name} cannot be filled: ${(error as Error).message}`, { cause: error });
    }
    mend(place, data);
    return true;
  });
}

async function buildIn(path: string, build: (target: number) => void | Promise<void>): Promise<void> {
  const made = native.mkdirAs(AT_FDCWD, bytesOf(path), 0o700, 0, 0);
  if (made < 0) throw new StoreError(`${path} cannot be made: ${errnoName(made)}`);
  const target = native.open(AT_FDCWD, bytesOf(path), O_RDONLY | O_DIRECTORY, 0);
  if (target < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(target)}`);
  try {
    await build(target);
    const synced = native.syncfs(target);
    if (synced < 0) throw new StoreError(`${path} cannot be written: ${errnoName(synced)}`);
  } finally {
    native.close(target);
  }
}

function publishContent(built: string, published: string): void {
  const renamed = native.rename(AT_FDCWD, bytesOf(built), AT_FDCWD, bytesOf(published), RENAME_NOREPLACE);
  if (renamed < 0) throw new StoreError(`${published} cannot be made: ${errnoName(renamed)}`);
}

/** Takes up what a crash left: throws half a copy away, moves a whole one into the data. Returns what was done. */
function mend(place: string, data: string): string[] {
  const done: string[] = [];
  const present = readdirSync(place);
  if (present.includes(unfinished)) {
    removeTree(join(place, unfinished));
    done.push("removed content that was not copied to the end");
  }
  if (present.includes(complete)) {
    moveContent(join(place, complete), data);
    done.push("finished moving its first content in");
  }
  return done;
}

function moveContent(from: string, data: string): void {
  const source = native.open(AT_FDCWD, bytesOf(from), O_PATH | O_DIRECTORY, 0);
  const target = native.open(AT_FDCWD, bytesOf(data), O_PATH | O_DIRECTORY, 0);
  try {
    if (source < 0 || target < 0)
      throw new StoreError(`${from} cannot be opened: ${errnoName(Math.min(source, target))}`);
    const stat = statDirectory(source);
    for (const name of readdirSync(Buffer.from(from), { encoding: "latin1" })) {
      const moved = native.rename(source, name, target, name, RENAME_NOREPLACE);
      // Somebody has made one of that name: his stays.
      if (moved === -EEXIST)
        rmSync(Buffer.from(`${bytesOf(from)}/${name}`, "latin1"), { recursive: true, force: true });
      else if (moved < 0) throw new StoreError(`${from} cannot be moved into ${data}: ${errnoName(moved)}`);
    }
    copyAttributes(source, target, stat);
  } finally {
    if (source >= 0) native.close(source);
    if (target >= 0) native.close(target);
  }
  rmdirSync(from);
}

/** Whether a crash left a volume half filled. For `cowfs system check`. */
export function isHalfFilled(root: DataRoot, name: string): boolean {
  const places = [volumeDirectory(root, name), volumeData(root, name)];
  return places.some((place) => readdirSync(place).some((entry) => entry === unfinished || entry === complete));
}

/** Mends a volume that a crash left half filled. Returns what was done, a sentence each; nothing while somebody fills it. */
export async function mendVolume(root: DataRoot, name: string): Promise<string[]> {
  const data = volumeData(root, name);
  return await withPlace(root, name, data, (place) => mend(place, data));
}
