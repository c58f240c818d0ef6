import { argumentBytes } from "./arguments.js";
import { isStoreCommand } from "./store-commands.js";

/** By this the launcher says that it has forked: this process is to become the driver. What it was called as follows, and its working directory. */
export const launched = "--launched";

/** The sub-command and its arguments that a process was started with, as bytes in latin1 strings. Null: nothing is to be done. */
export function commandOf(argv: readonly string[]): string[] | null {
  const all = argumentBytes(argv);
  return argv[2] === launched ? commandWords(all.slice(3), all[1] ?? "") : commandWords(all, baseName(argv[1] ?? ""));
}

export const mountCommands = new Set(["mount", "umount", "unmount", "mounts"]);

/** The words from the sub-command on: `--root DIR` may stand before it. */
export function skipRoot(words: readonly string[]): readonly string[] {
  if (words[0] === "--root") return words.slice(2);
  return words[0]?.startsWith("--root=") === true ? words.slice(1) : words;
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
