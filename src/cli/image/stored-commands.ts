import type { Command } from "commander";
import { orderly } from "../orderly.js";
import { addInspectOptions, addListOptions, collect } from "../output/options.js";
import { progressHelp } from "./incoming.js";
import type { ImageListOptions } from "./ls.js";
import type { PruneOptions } from "./prune.js";
import type { SaveCommandOptions } from "./save.js";

/** Declares what is done with images that are stored: the sub-commands of `image` that bring none in. */
export function addStoredImageCommands(image: Command, finish: (code: number) => void): void {
  const list = image
    .command("ls")
    .alias("list")
    .summary("list images")
    .description("Lists the images; one without a name is dangling.")
    .argument("[image]", "only what has this name; * and ? stand for letters")
    .option("-a, --all", "accepted: there are no images in between")
    .option("--digests", "a column for digests of manifests");
  addListOptions(list, ["dangling", "label", "reference", "before", "since", "until"]);
  list.action(async (reference: string | undefined, options: ImageListOptions, command: Command) => {
    const { imageListCommand } = await import("./ls.js");
    finish(imageListCommand(command, reference, options));
  });

  const history = image
    .command("history")
    .summary("what an image is made of")
    .description(
      "Shows the steps of an image's making, the last one first: what each weighs, and which other images share it.",
    )
    .argument("<image>", "name or id");
  addListOptions(history).action(async (word: string, options: ImageListOptions, command: Command) => {
    const { imageHistoryCommand } = await import("./history.js");
    finish(imageHistoryCommand(command, word, options));
  });

  const inspect = image
    .command("inspect")
    .summary("all about images, as JSON")
    .description("Shows the configuration of images, and where their layers are.")
    .argument("<image...>", "names or ids");
  addInspectOptions(inspect).action(
    async (words: string[], options: { format?: string; json?: boolean }, command: Command) => {
      const { imageInspectCommand } = await import("./inspect.js");
      finish(await imageInspectCommand(command, words, options));
    },
  );

  image
    .command("tag")
    .summary("give an image one more name")
    .description("Gives an image a name, which another image loses.")
    .argument("<image>", "name or id")
    .argument("<name>", "NAME[:TAG]; the tag is latest if none is said")
    .action(async (source: string, name: string, _options: object, command: Command) => {
      const { imageTagCommand } = await import("./tag.js");
      finish(await imageTagCommand(command, source, name));
    });

  image
    .command("rm")
    .alias("remove")
    .summary("remove images")
    .description(
      "Takes names away, and with the last name of an image the image, and those of its layers that no other image has.",
    )
    .argument("<image...>", "names or ids")
    .option("-f, --force", "take the names away from an image that a container uses, or that has several")
    .action(async (words: string[], options: { force?: boolean }, command: Command) => {
      const { imageRemoveCommand } = await import("./remove.js");
      finish(await imageRemoveCommand(command, words, options.force === true));
    });

  image
    .command("prune")
    .summary("remove images that nothing uses")
    .description("Removes images without a name that no container is made of.")
    .option("-a, --all", "those with names, too")
    .option("-f, --force", "do not ask")
    .option("--filter <filter>", "only what matches: until=, label=, label!=; may be repeated", collect)
    .action(async (options: PruneOptions, command: Command) => {
      const { imagePruneCommand } = await import("./prune.js");
      finish(await imagePruneCommand(command, options));
    });

  image
    .command("save")
    .summary("write images to an archive")
    .description(
      "Writes images to an archive that cowfs, podman, skopeo and docker load, with the very layers that were loaded.",
    )
    .argument("<image...>", "names or ids")
    .option("-o, --output <file>", "where to (default: stdout, unless that is a terminal)")
    .option("--format <format>", "docker-archive (default), oci-archive, or oci-dir: a directory")
    .option("--compress <method>", "gzip, or none (default)")
    .option("-q, --quiet", "no progress")
    .option("--progress <form>", progressHelp)
    .action(async (words: string[], options: SaveCommandOptions, command: Command) => {
      const { imageSaveCommand } = await import("./save.js");
      finish(await orderly(() => imageSaveCommand(command, words, options)));
    });
}
