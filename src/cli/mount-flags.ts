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

interface Known {
  readonly key: string;
  readonly takesValue: boolean;
  readonly many: boolean;
}

/** `-o, --options <list>` as its words, each with what is to be done about it. */
function known(flags: readonly MountFlag[]): Map<string, Known> {
  const byWord = new Map<string, Known>();
  for (const { flags: text, many } of flags) {
    const [spelled = "", value] = text.split(" <");
    const spellings = spelled.split(", ");
    const long = spellings[spellings.length - 1] ?? "";
    const key = long.replace(/^-+/, "").replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    for (const word of spellings) byWord.set(word, { key, takesValue: value !== undefined, many: many === true });
  }
  return byWord;
}

/**
 * The words of a command line that mounts, nothing more: `words` begin with `mount`. Undefined for every other line, wrong ones among them: commander,
 * which takes as long to load as a mount takes to come about, knows what to say about them, and reads all lines as this does.
 */
export function plainMount(words: readonly string[]): MountWords | undefined {
  if (words[0] !== "mount") return undefined;
  const byWord = known(words.includes("--as-helper") ? [...mountFlags, verboseFlag] : mountFlags);
  const given: Record<string, string | string[] | true> = {};
  const positionals: string[] = [];
  const give = ({ key, many }: Known, value: string | true): void => {
    const before = given[key];
    given[key] = many && value !== true ? [...(Array.isArray(before) ? before : []), value] : value;
  };
  let next = 1;
  let letters = "";
  while (next < words.length || letters !== "") {
    const word = letters === "" ? (words[next++] ?? "") : letters;
    letters = "";
    if (word === "--") {
      positionals.push(...words.slice(next));
      break;
    }
    if (word.length < 2 || !word.startsWith("-")) {
      positionals.push(word);
      continue;
    }
    const whole = byWord.get(word);
    if (whole !== undefined) {
      const value = whole.takesValue ? words[next++] : true;
      if (value === undefined) return undefined;
      give(whole, value);
      continue;
    }
    const equals = word.indexOf("=");
    const isLong = word.startsWith("--");
    const part = byWord.get(isLong ? word.slice(0, Math.max(equals, 0)) : word.slice(0, 2));
    if (part === undefined || (isLong && !part.takesValue)) return undefined;
    if (isLong) give(part, word.slice(equals + 1));
    else if (part.takesValue) give(part, word.slice(2));
    else {
      give(part, true);
      letters = `-${word.slice(2)}`;
    }
  }
  return mountWords(given as MountFlagValues, positionals);
}
