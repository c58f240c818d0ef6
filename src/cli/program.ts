import { Command, CommanderError, Option } from "commander";
import { shown } from "../text.js";
import { argumentBytes } from "./arguments.js";
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
import { mountHelp } from "./mount-help.js";
import type { MountWords } from "./mount-plan.js";
import { isStoreCommand } from "./store-commands.js";
import { version } from "./version.js";

/** Does what the command line says. Returns the exit code; failures have been said on stderr. */
export async function run(argv: readonly string[]): Promise<number> {
  let code = 0;
  // The exit codes of `run` are its program's, but for a few that are Docker's.
  let isRun = false;
  // The launcher says what it was called as, and has forked: this process is to become the driver.
  const isLaunched = argv[2] === "--launched";
  const finish = (result: number): void => {
    code = result;
  };
  try {
    const all = argumentBytes(argv);
    let words = isLaunched ? commandWords(all.slice(3), all[1] ?? "") : commandWords(all, baseName(argv[1] ?? ""));
    if (words === null) return 0;
    const program = buildProgram(finish, isLaunched, words.includes("--as-helper"));
    const [first] = skipRoot(words);
    isRun = first === "run";
    // A mount has no use for the other commands, and should not wait for them.
    if (first === undefined || !mountCommands.has(first)) {
      const { addStoreCommands } = await import("./store-commands-all.js");
      addStoreCommands(program, finish);
    }
    // `help` of a command that is none is as wrong as that command.
    const [, asked] = words;
    if (first === "help" && asked !== undefined && !knows(program, asked)) words = [asked];
    await program.parseAsync(first !== undefined && isStoreCommand(first) ? textOf(words) : words, { from: "user" });
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

function knows(program: Command, name: string): boolean {
  return /^-/.test(name) || program.commands.some((one) => one.name() === name || one.aliases().includes(name));
}

const mountCommands = new Set(["mount", "umount", "unmount", "mounts"]);

/** The words from the sub-command on: `--root DIR` may stand before it. */
function skipRoot(words: readonly string[]): readonly string[] {
  if (words[0] === "--root") return words.slice(2);
  return words[0]?.startsWith("--root=") === true ? words.slice(1) : words;
}

/** Commands on images, containers and volumes take text: names and variables are UTF-8, and paths are taken to be. */
function textOf(words: readonly string[]): string[] {
  return words.map((word) => shown(word));
}

/**
 * The command line as sub-command and arguments. A line that has no sub-command is that of a mount helper: `[SOURCE] MOUNTPOINT -o …`,
 * as mount(8), mount.fuse3, podman and containerd write it. Null: nothing is to be done.
 */
export function commandWords(args: readonly string[], programName: string): string[] | null {
  const [first, second] = skipRoot(args);
  if (/^mount\./.test(programName)) {
    // For helpers of mount(8), -f is "fake", and -t names the type.
    if (args.some((word) => /^-[nsvrw]*f[nsvrw]*$/.test(word))) return null;
    return ["mount", "--as-helper", ...args];
  }
  if (first === undefined || /^(-h|--help|-V|--version)$/.test(first)) return [...args];
  const hasOptions = args.some((word) => /^-o/.test(word));
  // A source may be called as a command is: `SOURCE /MOUNTPOINT -o …` is a mount.
  if (first === "mount" || (isStoreCommand(first) && !(hasOptions && second?.startsWith("/")))) return [...args];
  if ((mountCommands.has(first) || first === "help") && !hasOptions) return [...args];
  return hasOptions ? ["mount", "--as-helper", ...args] : [...args];
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What commander makes of the options of `mount`. */
interface CommanderMountOptions extends Omit<MountWords, "positionals" | "lower" | "options"> {
  readonly lower?: string[];
  readonly options?: string[];
  readonly readWrite?: boolean;
  readonly image?: string;
  readonly volume?: string[];
  readonly mount?: string[];
  readonly tmpfs?: string[];
  readonly volumesFrom?: string[];
}

/** The commands, each loaded when it runs. `finish` takes its exit code. For `isHelper`, -v is mount(8)'s word for being verbose. */
function buildProgram(finish: (code: number) => void, isLaunched: boolean, isHelper = false): Command {
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
      // What commander quotes are the bytes of arguments.
      writeOut: (text) => print(shown(text)),
      writeErr: (text) => process.stderr.write(shown(text)),
      outputError: (text, write) => write(`${withHint(oneLine(text.replace(/^error: /, "cowfs: ")))}\n`),
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
    .option("--lower <dirs>", "read-only layers, the top one first; \\: escapes a colon; may be repeated", collect)
    .option("--upper <dir>", "the layer that takes all changes, created if missing; without it the mount is read-only")
    .option("--work <dir>", "work directory, on the file system of the upper (default: a hidden directory beside it)")
    .option("-o, --options <list>", "mount options, separated by commas; may be repeated", collect)
    .option("--volatile", "never sync to the disk: faster, but after a crash the upper must be checked")
    .option("--strict", "refuse to mount if anything in the upper is damaged, instead of that one object")
    .option(
      "--whiteout <format>",
      "what hides removed names: auto (default), overlay (a device), aufs (a .wh. file) or xattr (an attribute)",
    )
    .option("-f, --foreground", "stay, and log to stderr as JSON lines")
    .option("--log <file>", "append the log to a file, as JSON lines")
    .option("-d, --debug", "log each request and answer")
    .option(
      "--io <policy>",
      "who reads and writes files: cached (the driver), passthrough (the kernel), auto (default: by file)",
    )
    .option("--transport <name>", "kernel (default) or fuse-native")
    .option("-r, --read-only", "mount read-only")
    .option("--storage-opt <option>", "size=BYTES: the most that the upper may hold, as in size=10G", collect)
    .option("--image <name>", "the layers of an image, in place of --lower")
    .option(
      "--mount <spec>",
      "type=bind|volume|tmpfs|image,source=…,target=…[,…] over the mount; may be repeated",
      collect,
    )
    .option("--tmpfs <spec>", "TARGET[:OPTION,…]: a file system in memory over the mount; may be repeated", collect)
    .option("--volumes-from <container>", "CONTAINER[:ro|rw]: its volumes and binds; may be repeated", collect)
    .addOption(new Option("--as-helper").hideHelp())
    .addOption(new Option("-w, --read-write").hideHelp())
    .addOption(new Option("-n").hideHelp())
    .addOption(new Option("-s").hideHelp())
    .addOption(new Option("-t, --type <type>").hideHelp())
    .addHelpText("after", mountHelp)
    .action(async (places: string[], options: CommanderMountOptions) => {
      const { mountCommand } = await import("./mount.js");
      const {
        lower = [],
        options: lists = [],
        readWrite,
        image,
        volume,
        mount: mounts,
        tmpfs,
        volumesFrom,
        ...rest
      } = options;
      const mode = readWrite === true ? { readOnly: false } : {};
      const words: MountWords = { ...rest, ...mode, lower, options: lists, positionals: places };
      if ([image, volume, mounts, tmpfs, volumesFrom].every((word) => word === undefined)) {
        finish(await mountCommand(words, isLaunched));
        return;
      }
      const { assembledMountCommand } = await import("./mount-assembled.js");
      const { root } = mount.optsWithGlobals<{ root?: string }>();
      finish(await assembledMountCommand(words, { root, image, volume, mounts, tmpfs, volumesFrom }, isLaunched));
    });
  if (isHelper) mount.addOption(new Option("-v, --verbose").hideHelp());
  else
    mount.option(
      "-v, --volume <spec>",
      "[SOURCE:]TARGET[:MODES]: a volume or a host directory over the mount; may be repeated",
      collect,
    );

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
