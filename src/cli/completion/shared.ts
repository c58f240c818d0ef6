import type { DeclaredCommand, Kind } from "./declaration.js";

/** How the names of a kind are listed: the words after `cowfs`. */
export const listings: Readonly<Record<"images" | "containers" | "volumes", string>> = {
  images: "image ls --format '{{.Repository}}:{{.Tag}}'",
  containers: "ps -a --format '{{.Names}}'",
  volumes: "volume ls -q",
};

/** A kind as one word of a script: a name, or `=` and words. */
export function kindWord(kind: Kind): string {
  return typeof kind === "string" ? kind : `=${kind.join(" ")}`;
}

/** Lines of a `case` statement of POSIX shells, which bash and zsh share. */
export function caseLines(cases: readonly (readonly [pattern: string, words: string])[], say: string): string {
  return cases.map(([pattern, words]) => `    ${pattern}) ${say} '${words}' ;;`).join("\n");
}

/** The tables of a shell script: what follows which words. `describe` is how a shell writes a word and its description. */
export function tables(commands: readonly DeclaredCommand[], describe: (name: string, description: string) => string) {
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
