import type { Argument, Command, Option } from "commander";

/** What can stand at a place of the command line: names that a command lists, files, directories, or one of a few words. */
export type Kind = "images" | "containers" | "volumes" | "files" | "directories" | "nothing" | readonly string[];

export interface DeclaredOption {
  /** `-q`, `--quiet`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** What its value can be; undefined if it takes none. */
  readonly value: Kind | undefined;
}

export interface DeclaredCommand {
  /** The words that lead to it: `image ls`; empty for the program itself. */
  readonly path: string;
  readonly description: string;
  /** Names and aliases of its sub-commands, with what they do. */
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly DeclaredOption[];
  /** One kind for each argument. */
  readonly arguments: readonly Kind[];
  /** The last argument may be repeated. */
  readonly isVariadic: boolean;
  /** Options after the first argument are not this command's: `run IMAGE ls -l`. */
  readonly passesThrough: boolean;
}

/** What a program declares, as completion needs it: each command once for each of its names. */
export function declarations(program: Command): DeclaredCommand[] {
  const found: DeclaredCommand[] = [];
  const visit = (command: Command, path: string): void => {
    const subcommands = command.createHelp().visibleCommands(command);
    const own = declared(command, subcommands, path);
    // Its argument is a command, which commander does not know.
    const isHelp = command.name() === "help";
    found.push(isHelp ? { ...own, arguments: [found[0]?.subcommands.map(({ name }) => name) ?? []] } : own);
    for (const sub of subcommands) {
      for (const name of [sub.name(), ...sub.aliases()]) visit(sub, path === "" ? name : `${path} ${name}`);
    }
  };
  visit(program, "");
  return found;
}

function declared(command: Command, subcommands: readonly Command[], path: string): DeclaredCommand {
  const options = command.createHelp().visibleOptions(command);
  const last = command.registeredArguments.at(-1);
  return {
    path,
    description: summary(command),
    subcommands: subcommands.flatMap((sub) =>
      [sub.name(), ...sub.aliases()].map((name) => ({ name, description: summary(sub) })),
    ),
    options: options.map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
      description: firstSentence(option.description),
      value: option.required || option.optional ? kindOfOption(option) : undefined,
    })),
    arguments: command.registeredArguments.map(kindOfArgument),
    isVariadic: last?.variadic === true,
    passesThrough: "_passThroughOptions" in command && command["_passThroughOptions"] === true,
  };
}

function summary(command: Command): string {
  return firstSentence(command.summary() || command.description());
}

/** Descriptions stand in one line beside the word, in scripts whose quoting is better left alone. */
function firstSentence(text: string): string {
  return (text.split(/[.;:](?:\s|$)/)[0] ?? "").replace(/['"`\\$[\]{}\n]/g, "").trim();
}

/** What options take that are checked elsewhere, or take something else besides. */
const wordsOf: Readonly<Record<string, readonly string[]>> = {
  "--driver <driver>": ["cowfs", "overlay2", "btrfs", "vfs"],
  "-d, --driver <name>": ["local"],
  "--runtime <runtime>": ["auto", "crun", "runc", "unshare"],
  "--progress <form>": ["auto", "plain", "tty", "json", "none"],
  "--progress <how>": ["auto", "plain", "tty"],
  "--format <format>": ["docker-archive", "oci-archive", "oci-dir"],
  "--compress <method>": ["gzip", "none"],
  "--whiteout <format>": ["auto", "overlay", "aufs", "xattr"],
  "--io <policy>": ["auto", "cached", "passthrough"],
  "--transport <name>": ["kernel", "fuse-native"],
};

function kindOfOption(option: Option): Kind {
  const words = option.argChoices ?? wordsOf[option.flags];
  if (words !== undefined) return words;
  // What it takes may begin with one.
  if (option.long === "--volume") return "volumes";
  if (option.long === "--image") return "images";
  return kindOfName(/[<[]([^\]>]*)/.exec(option.flags)?.[1] ?? "");
}

function kindOfArgument(argument: Argument): Kind {
  return argument.argChoices ?? kindOfName(argument.name());
}

/** Arguments are called after what they are: `<image>`, `[container...]`, `<file>`. */
function kindOfName(name: string): Kind {
  if (/image/.test(name)) return "images";
  if (/container/.test(name)) return "containers";
  if (/volume/.test(name)) return "volumes";
  if (/dir|mountpoint/.test(name)) return "directories";
  return /file|path|archive|tar|source|destination|arg/.test(name) ? "files" : "nothing";
}
