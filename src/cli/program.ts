import { Command, CommanderError, Option } from "commander";
import { shown } from "../text.js";
import { commandOf, launched, mountCommands, skipRoot } from "./command-words.js";
import { withHint } from "./docker-words.js";
import {
  CommandError,
  complain,
  EXIT_FAILURE,
  EXIT_RUN_FAILED,
  EXIT_USAGE,
  messageOf,
  oneLine,
  print,
} from "./exit.js";
import {
  assemblingFlags,
  type MountFlagValues,
  mountFlags,
  mountWords,
  verboseFlag,
  volumeFlag,
} from "./mount-flags.js";
import { mountHelp } from "./mount-help.js";
import { isStoreCommand } from "./store-commands.js";
import { version } from "./version.js";

/** Does what the command line says. Returns the exit code; failures have been said on stderr. */
export async function run(argv: readonly string[]): Promise<number> {
  let code = 0;
  // The exit codes of `run` are its program's, but for a few that are Docker's.
  let isRun = false;
  const isLaunched = argv[2] === launched;
  const finish = (result: number): void => {
    code = result;
  };
  try {
    let words = commandOf(argv);
    if (words === null) return 0;
    const [first, ...names] = skipRoot(words);
    const isText = first !== undefined && isStoreCommand(first);
    const program = buildProgram(finish, isLaunched, isText, words.includes("--as-helper"));
    isRun = first === "run";
    // A mount has no use for the other commands, and should not wait for them.
    if (first === undefined || !mountCommands.has(first)) {
      const { addStoreCommands } = await import("./store-commands-all.js");
      addStoreCommands(program, finish);
    }
    // Commander's `help` takes one name. That of a command that is none is as wrong as that command.
    if (first === "help" && names[0]?.startsWith("-") === false) {
      words = knows(program, names) ? [...names, "--help"] : names;
    }
    await program.parseAsync(isText ? textOf(words) : words, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      // It has been said already. Help that was asked for is no failure.
      return error.exitCode === 0 ? 0 : isRun ? EXIT_RUN_FAILED : EXIT_USAGE;
    }
    complain(messageOf(error));
    if (isRun) return EXIT_RUN_FAILED;
    return error instanceof CommandError ? error.exitCode : EXIT_FAILURE;
  }
}

/** Whether there is the command that `names` lead to, or none is named. */
function knows(program: Command, [name, ...names]: readonly string[]): boolean {
  if (name === undefined || name.startsWith("-")) return true;
  const command = program.commands.find((one) => one.name() === name || one.aliases().includes(name));
  if (command === undefined) return false;
  return command.commands.length === 0 || knows(command, names);
}

/** Commands on images, containers and volumes take text: names and variables are UTF-8, and paths are taken to be. */
function textOf(words: readonly string[]): string[] {
  return words.map((word) => shown(word));
}

/** What commander makes of `assemblingFlags` and `volumeFlag`. */
interface AssemblingValues {
  readonly image?: string;
  readonly volume?: string[];
  readonly mount?: string[];
  readonly tmpfs?: string[];
  readonly volumesFrom?: string[];
}

/**
 * The commands, each loaded when it runs. `finish` takes its exit code. The words to parse are text if `isText`, otherwise bytes. For
 * `isHelper`, -v is mount(8)'s word for being verbose.
 */
function buildProgram(
  finish: (code: number) => void,
  isLaunched: boolean,
  isText: boolean,
  isHelper: boolean,
): Command {
  const program = new Command("cowfs")
    .description("A union file system: read-only lower layers and one writable upper layer, merged.")
    .version(`cowfs ${version}`, "-V, --version", "print the version")
    .option("--root <dir>", "where images, containers and volumes are (default: COWFS_ROOT, or /var/lib/cowfs)")
    .enablePositionalOptions()
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .addHelpText(
      "after",
      `
  cowfs mount --lower project:/usr --upper changes /mnt/usr
  cowfs umount /mnt/usr

Exit codes: 0 done, 1 it did not work, 2 wrong usage.`,
    )
    .configureOutput({
      writeOut: print,
      outputError: (text, write) => {
        // What commander quotes are words of the command line.
        const said = isText ? text : shown(text);
        write(`${withHint(oneLine(said.replace(/^error: /, "cowfs: ")))}\n`);
      },
    });

  const collect = (value: string, previous: string[] | undefined): string[] => [...(previous ?? []), value];
  const mount = program
    .command("mount")
    .usage("--lower DIR[:DIR...] [--upper DIR] [options] [[SOURCE] MOUNTPOINT]")
    .summary("merge layers into a mountpoint")
    .description(
      "Mounts the union of layers, and returns once it answers. Without MOUNTPOINT the directory UPPER.merged is used, created if missing, and printed.",
    )
    .argument("[mountpoint...]", "an existing directory; a source before it is only shown in mount tables")
    .addHelpText("after", mountHelp)
    .action(async (places: string[], options: MountFlagValues & AssemblingValues) => {
      const { mountCommand } = await import("./mount.js");
      const { image, volume, mount: mounts, tmpfs, volumesFrom, ...rest } = options;
      const words = mountWords(rest, places);
      if ([image, volume, mounts, tmpfs, volumesFrom].every((word) => word === undefined)) {
        finish(await mountCommand(words, isLaunched));
        return;
      }
      const { assembledMountCommand } = await import("./mount-assembled.js");
      const { root } = mount.optsWithGlobals<{ root?: string }>();
      finish(await assembledMountCommand(words, { root, image, volume, mounts, tmpfs, volumesFrom }, isLaunched));
    });
  for (const { flags, help, many } of [...mountFlags, ...assemblingFlags, isHelper ? verboseFlag : volumeFlag]) {
    const option = new Option(flags, help);
    if (many === true) option.argParser(collect);
    mount.addOption(help === undefined ? option.hideHelp() : option);
  }

  program
    .command("umount")
    .alias("unmount")
    .summary("end a mount")
    .description("Unmounts, and returns when the driver has ended, so that the layers can be used again at once.")
    .argument("<mountpoint>", "as cowfs mounts shows it, or a path to it")
    .option("-l, --lazy", "detach it now; processes that use it keep what they have open")
    .action(async (mountpoint: string, options: { lazy?: boolean }) => {
      const { umountCommand } = await import("./umount.js");
      finish(await umountCommand(mountpoint, options.lazy === true));
    });

  program
    .command("mounts")
    .summary("list the mounts")
    .description("Lists the mounts of cowfs that can be seen from here.")
    .option("--json", "an array of objects, for machines")
    .action(async (options: { json?: boolean }) => {
      const { mountsCommand } = await import("./mounts.js");
      finish(mountsCommand(options.json === true));
    });
  return program;
}
