import type { DeclaredCommand, Kind } from "./declaration.js";

/** How the names of a kind are listed: the words after `cowfs`. */
export const listings: Readonly<Record<"images" | "containers" | "volumes", string>> = {
  images: "image ls -f dangling=false --format '{{.Repository}}:{{.Tag}}'",
  containers: "ps -a --format '{{.Names}}'",
  volumes: "volume ls -q",
};

/** A kind as one word of a script: a name, or `=` and words. */
export function kindWord(kind: Kind): string {
  return typeof kind === "string" ? kind : `=${kind.join(" ")}`;
}

/** Lines of a `case` statement of POSIX shells, which bash and zsh share. */
function caseLines(cases: readonly (readonly [pattern: string, words: string])[], say: string): string {
  return cases.map(([pattern, words]) => `    ${pattern}) ${say} '${words}' ;;`).join("\n");
}

/** The tables of a shell script: what follows which words. `describe` is how a shell writes a word and its description. */
function tables(commands: readonly DeclaredCommand[], describe: (name: string, description: string) => string) {
  const quoted = (text: string): string => `'${text}'`;
  return {
    subcommands: commands
      .filter(({ subcommands }) => subcommands.length > 0)
      .map(
        ({ path, subcommands }) =>
          [quoted(path), subcommands.map(({ name, description }) => describe(name, description)).join("\n")] as const,
      ),
    options: commands.map(
      ({ path, options }) =>
        [
          quoted(path),
          options.flatMap(({ flags, description }) => flags.map((flag) => describe(flag, description))).join("\n"),
        ] as const,
    ),
    values: commands.flatMap(({ path, options }) =>
      options
        .filter(({ value }) => value !== undefined)
        .map(
          ({ flags, value }) =>
            [flags.map((flag) => quoted(`${path} ${flag}`)).join("|"), kindWord(value ?? "nothing")] as const,
        ),
    ),
    // The number of arguments before; the last one again and again if it is variadic.
    arguments: commands.flatMap(({ path, arguments: kinds, isVariadic }) =>
      kinds.map((kind, i) => {
        const number = isVariadic && i === kinds.length - 1 ? "*" : String(i);
        return [number === "*" ? `'${path} '*` : quoted(`${path} ${i}`), kindWord(kind)] as const;
      }),
    ),
    passing: commands.filter(({ passesThrough }) => passesThrough).map(({ path }) => quoted(path)),
  };
}

/**
 * Functions for bash and zsh that look up what there is to complete. `describe` makes the words that are offered of a name and its description;
 * `say` prints its arguments, one a line.
 */
export function lookups(
  commands: readonly DeclaredCommand[],
  describe: (name: string, description: string) => string,
  say: string,
): string {
  const { subcommands, options, values, arguments: kinds, passing } = tables(commands, describe);
  return `_cowfs_subcommands() {
  case $1 in
${caseLines(subcommands, say)}
  esac
}

_cowfs_options() {
  case $1 in
${caseLines(options, say)}
  esac
}

# What the value of an option is; nothing if it takes none.
_cowfs_value() {
  case "$1 $2" in
${caseLines(values, say)}
  esac
}

# What the argument after so many others is.
_cowfs_argument() {
  case "$1 $2" in
${caseLines(kinds, say)}
  esac
}

_cowfs_passes() {
  case $1 in
    ${passing.join("|") || "''"}) return 0 ;;
  esac
  return 1
}`;
}
