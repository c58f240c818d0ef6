import type { Command } from "commander";
import type { DataRoot } from "../../store/data-root.js";
import { StoreError } from "../../store/error.js";
import { type ImageUser, imageUsers } from "../../store/image-users.js";
import { findImage, type NamedImage, type RemovedImage, removeImage, untagImage } from "../../store/images.js";
import { shortId } from "../../store/names.js";
import { forEachWord } from "../each.js";
import { complain, print } from "../exit.js";
import { rootOf } from "../root-option.js";

/** `cowfs image rm [-f] IMAGE…`: each is tried, whatever comes of the others. */
export async function imageRemoveCommand(command: Command, words: readonly string[], force: boolean): Promise<number> {
  const root = rootOf(command);
  return forEachWord(words, (word) => removeOne(root, word, force));
}

/**
 * A name takes that name away, and the image when it was the last one; an id takes all names away, if they are of one repository. What
 * containers use stays: with `force` without its names, as a stopped container needs its layers.
 */
async function removeOne(root: DataRoot, word: string, force: boolean): Promise<void> {
  const image = findImage(root, word);
  const name = image.foundBy;
  const [user] = usersOf(root, image.id);
  if (name !== undefined && image.names.length > 1) {
    await untag(root, [name]);
    return;
  }
  if (name === undefined && !force && new Set(image.names.map(repositoryOf)).size > 1) {
    throw new StoreError(
      `the image ${shortId(image.id)} has names in several repositories (${image.names.join(", ")}): remove them by name, or all of them with --force`,
    );
  }
  if (user !== undefined && (!force || (name === undefined && user.isRunning))) throw inUse(word, image, user);
  if (user !== undefined) {
    await untag(root, image.names);
    complain(`the image ${shortId(image.id)} stays as long as the container ${user.name} uses it`);
    return;
  }
  print(removedText(image.id, await removeImage(root, image.id, () => mustBeUnused(root, word, image))));
}

function repositoryOf(name: string): string {
  return name.slice(0, name.lastIndexOf(":"));
}

function usersOf(root: DataRoot, id: string): ImageUser[] {
  const users = imageUsers(root, { strict: true }).filter(({ image }) => image === id);
  return users.sort((a, b) => Number(b.isRunning) - Number(a.isRunning));
}

function inUse(word: string, image: NamedImage, { id, name, isRunning }: ImageUser): StoreError {
  const state = isRunning ? "running" : "stopped";
  const remedy = isRunning ? "stop and remove it first" : "remove it first, or take the names away with --force";
  return new StoreError(
    `the image ${word} (${shortId(image.id)}) is used by the ${state} container ${name} (${shortId(id)}): ${remedy}`,
  );
}

/** Called while the store lock is held: a container may have been made a moment ago. */
export function mustBeUnused(root: DataRoot, word: string, image: NamedImage): void {
  const [user] = usersOf(root, image.id);
  if (user !== undefined) throw inUse(word, image, user);
}

async function untag(root: DataRoot, names: readonly string[]): Promise<void> {
  await untagImage(root, names);
  print(names.map((name) => `Untagged: ${name}\n`).join(""));
}

/** What a removal says, as Docker does. */
export function removedText(id: string, { names, layers }: RemovedImage): string {
  const untagged = names.map((name) => `Untagged: ${name}\n`);
  return [...untagged, ...[id, ...layers].map((digest) => `Deleted: ${digest}\n`)].join("");
}
