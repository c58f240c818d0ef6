import type { Command } from "commander";
import type { DataRoot } from "../../store/data-root.js";
import { imagesByLayer } from "../../store/image-users.js";
import { findImage, imageTrees, listImages, type NamedImage, readConfig } from "../../store/images.js";
import { layerTree, readLayer } from "../../store/layers.js";
import { forEachWord } from "../each.js";
import { printObjects } from "../output/list.js";
import { rootOf } from "../root-option.js";
import { imageTitle } from "./stored.js";

/** An image as `docker image inspect` shows it, and where each of its layers is. Throws StoreError. */
function imageObject(root: DataRoot, image: NamedImage): object {
  const config = readConfig(root, image.id);
  const users = imagesByLayer(listImages(root));
  const layers = image.layers.map((diffId) => {
    const { size, entries } = readLayer(root, diffId);
    const others = (users.get(diffId) ?? []).filter(({ id }) => id !== image.id);
    return {
      DiffID: diffId,
      Path: layerTree(root, diffId),
      Size: size,
      Entries: entries,
      SharedWith: others.map(imageTitle),
    };
  });
  return {
    Id: image.id,
    RepoTags: image.names,
    RepoDigests: [],
    Parent: "",
    Comment: config.history?.at(-1)?.comment ?? "",
    Created: config.created ?? null,
    Author: config.author ?? "",
    Config: config.config ?? {},
    Architecture: config.architecture,
    Os: config.os,
    Size: layers.reduce((sum, { Size }) => sum + Size, 0),
    GraphDriver: { Name: "cowfs", Data: { LowerDir: imageTrees(root, image).join(":") } },
    RootFS: { Type: "layers", Layers: image.layers },
    Metadata: { Stored: image.stored },
    Layers: layers,
  };
}

/** `cowfs image inspect IMAGE…`: what there is not is said, and the others are shown. Returns the exit code. */
export async function imageInspectCommand(
  command: Command,
  words: readonly string[],
  options: { format?: string; json?: boolean },
): Promise<number> {
  const root = rootOf(command);
  const objects: object[] = [];
  const code = await forEachWord(words, (word) => {
    objects.push(imageObject(root, findImage(root, word)));
  });
  printObjects(objects, options);
  return code;
}
