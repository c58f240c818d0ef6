import type { Command } from "commander";
import { orderly } from "../orderly.js";
import { addInspectOptions, addListOptions, collect } from "../output/options.js";
import { rootOf } from "../root-option.js";

/** Declares the commands on volumes; what they do is loaded when they run. `finish` takes the exit code. */
export function addVolumeCommands(program: Command, finish: (code: number) => void): void {
  const volume = program
    .command("volume")
    .summary("volumes: what outlives containers")
    .description("Volumes: directories of the data root that outlive the containers which use them.");

  volume
    .command("create")
    .argument("[volume]", "its name; without one it is anonymous")
    .description("Creates a volume, and prints its name. One that exists stays as it is.")
    .option("-d, --driver <name>", "who keeps it: local (default), or a volume plugin")
    .option("--label <key=value>", "metadata; may be repeated", collect)
    .option(
      "-o, --opt <key=value>",
      "for local: type, device, o, size: what is mounted there; may be repeated",
      collect,
    )
    .action(async (name, options, command) => {
      const { createCommand } = await import("./create.js");
      finish(await createCommand(rootOf(command), name, options));
    });

  addListOptions(volume.command("ls").alias("list"), ["dangling", "driver", "label", "name"])
    .description("Lists volumes.")
    .action(async (options, command) => {
      const { listCommand } = await import("./ls.js");
      finish(await listCommand(rootOf(command), options));
    });

  addInspectOptions(volume.command("inspect"))
    .argument("<volume...>")
    .description("Prints what is known of volumes.")
    .action(async (names, options, command) => {
      const { inspectCommand } = await import("./inspect.js");
      finish(await inspectCommand(rootOf(command), names, options));
    });

  volume
    .command("rm")
    .alias("remove")
    .argument("<volume...>")
    .description("Removes volumes with all that is in them. One that a container uses stays.")
    .option("-f, --force", "pass over volumes that do not exist; forget those that their plugin does not remove")
    .action(async (names, options, command) => {
      const { removeCommand } = await import("./rm.js");
      finish(await orderly(() => removeCommand(rootOf(command), names, options)));
    });

  volume
    .command("prune")
    .description("Removes the anonymous volumes that no container uses.")
    .option("-a, --all", "those with a name, too")
    .option("-f, --force", "do not ask")
    .option("--filter <filter>", "only what matches: label=KEY[=VALUE], label!=KEY[=VALUE]; may be repeated", collect)
    .action(async (options, command) => {
      const { pruneCommand } = await import("./prune.js");
      finish(await pruneCommand(rootOf(command), options));
    });

  volume
    .command("export")
    .argument("<volume>")
    .description("Writes what is in a volume as a tar archive.")
    .option("-o, --output <file>", "to a file (default: standard output)")
    .action(async (name, options, command) => {
      const { exportCommand } = await import("./export.js");
      finish(await orderly(() => exportCommand(rootOf(command), name, options)));
    });

  volume
    .command("import")
    .argument("<volume>", "created if it is missing; it must be empty")
    .argument("[file]", "a tar archive, plain or compressed with gzip (default, and -: standard input)")
    .description("Fills a volume from a tar archive.")
    .action(async (name, file, _options, command) => {
      const { importCommand } = await import("./import.js");
      finish(await orderly(() => importCommand(rootOf(command), name, file)));
    });
}
