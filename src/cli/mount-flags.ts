import { type ParseArgsConfig, parseArgs } from "node:util";
import type { MountWords } from "./mount-plan.js";

/** A flag of `cowfs mount`, as commander writes them. One without help is not shown: programs say it that call mount(8). */
export interface MountFlag {
  readonly flags: string;
  readonly help?: string;
  /** It may be repeated. */
  readonly many?: true;
}

/** What lays something over the mount, or takes layers out of the store: see mount-assembled.ts. */
export const assemblingFlags: readonly MountFlag[] = [
  { flags: "--image <name>", help: "the layers of an image, in place of --lower" },
  {
    flags: "--mount <spec>",
    help: "type=bind|volume|tmpfs|image,source=…,target=…[,…] over the mount; may be repeated",
    many: true,
  },
  {
    flags: "--tmpfs <spec>",
    help: "TARGET[:OPTION,…]: a file system in memory over the mount; may be repeated",
    many: true,
  },
  {
    flags: "--volumes-from <container>",
    help: "CONTAINER[:ro|rw]: its volumes and binds; may be repeated",
    many: true,
  },
];

/** Not of helpers of mount(8), for which it means being verbose. */
export const volumeFlag: MountFlag = {
  flags: "-v, --volume <spec>",
  help: "[SOURCE:]TARGET[:MODES]: a volume or a host directory over the mount; may be repeated",
  many: true,
};
export const verboseFlag: MountFlag = { flags: "-v, --verbose" };

/** The flags of a mount by itself. Those with a value and without are told apart by `<`. */
export const mountFlags: readonly MountFlag[] = [
  {
    flags: "--lower <dirs>",
    help: "read-only layers, the top one first; \\: escapes a colon; may be repeated",
    many: true,
  },
  {
    flags: "--upper <dir>",
    help: "the layer that takes all changes, created if missing; without it the mount is read-only",
  },
  {
    flags: "--work <dir>",
    help: "work directory, on the file system of the upper (default: a hidden directory beside it)",
  },
  { flags: "-o, --options <list>", help: "mount options, separated by commas; may be repeated", many: true },
  { flags: "--volatile", help: "never sync to the disk: faster, but after a crash the upper must be checked" },
  { flags: "--strict", help: "refuse to mount if anything in the upper is damaged, instead of that one object" },
  {
    flags: "--whiteout <format>",
    help: "what hides removed names: auto (default), overlay (a device), aufs (a .wh. file) or xattr (an attribute)",
  },
  { flags: "-f, --foreground", help: "stay, and log to stderr as JSON lines" },
  { flags: "--log <file>", help: "append the log to a file, as JSON lines" },
  { flags: "-d, --debug", help: "log each request and answer" },
  {
    flags: "--io <policy>",
    help: "who reads and writes files: cached (the driver), passthrough (the kernel), auto (default: by file)",
  },
  { flags: "--transport <name>", help: "kernel (default) or fuse-native" },
  { flags: "-r, --read-only", help: "mount read-only" },
  {
    flags: "--storage-opt <option>",
    help: "size=BYTES: the most that the upper may hold, as in size=10G",
    many: true,
  },
  { flags: "--as-helper" },
  { flags: "-w, --read-write" },
  { flags: "-n" },
  { flags: "-s" },
  { flags: "-t, --type <type>" },
];

/** What the flags of a mount were given, by their names in camel case. */
export interface MountFlagValues extends Omit<MountWords, "positionals" | "lower" | "options"> {
  readonly lower?: string[];
  readonly options?: string[];
  readonly readWrite?: boolean;
}

export function mountWords(
  { lower = [], options = [], readWrite, ...rest }: MountFlagValues,
  positionals: string[],
): MountWords {
  return { ...rest, ...(readWrite === true ? { readOnly: false } : {}), lower, options, positionals };
}

type Declared = NonNullable<ParseArgsConfig["options"]>;

/** `-o, --options <list>` as `parseArgs` wants it told; and under which names in camel case the values go. */
function declared(flags: readonly MountFlag[]): { options: Declared; keys: Map<string, string> } {
  const options: Declared = {};
  const keys = new Map<string, string>();
  for (const { flags: text, many } of flags) {
    const [spelled = "", value] = text.split(" <");
    const [first = "", second] = spelled.split(", ").map((word) => word.replace(/^-+/, ""));
    const long = second ?? first;
    const short = first.length === 1 ? { short: first } : {};
    options[long] = { type: value === undefined ? "boolean" : "string", multiple: many === true, ...short };
    keys.set(
      long,
      long.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
    );
  }
  return { options, keys };
}

/**
 * The words of a command line that mounts, nothing more: `words` begin with `mount`. Undefined for every other line, wrong ones among them: commander,
 * which takes as long to load as a mount takes to come about, knows what to say about them, and reads all lines as this does.
 */
export function plainMount(words: readonly string[]): MountWords | undefined {
  if (words[0] !== "mount") return undefined;
  const { options, keys } = declared(words.includes("--as-helper") ? [...mountFlags, verboseFlag] : mountFlags);
  try {
    const { values, positionals } = parseArgs({ args: words.slice(1), options, allowPositionals: true });
    const given = Object.entries(values).map(([long, value]) => [keys.get(long), value]);
    return mountWords(Object.fromEntries(given) as MountFlagValues, positionals);
  } catch {
    // What is wrong with it is told by commander.
    return undefined;
  }
}
