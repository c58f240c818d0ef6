import type { DeclaredCommand, Kind } from "./declaration.js";
import { kindWord, listings } from "./shared.js";

/** A completion script for fish, with descriptions. */
export function fishScript(commands: readonly DeclaredCommand[]): string {
  const lines: string[] = [];
  for (const { path, subcommands, options, arguments: kinds, isVariadic } of commands) {
    for (const { name, description } of subcommands) {
      lines.push(`complete -c cowfs -n "__cowfs_at '${path}' 0" -a ${name} -d '${description}'`);
    }
    for (const { flags, description, value } of options) {
      const names = flags
        .map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
        .join(" ");
      const rest = value === undefined ? "" : value === "files" ? " -r -F" : ` -x${choices(value)}`;
      lines.push(`complete -c cowfs -n "__cowfs_at '${path}'" ${names}${rest} -d '${description}'`);
    }
    for (const [i, kind] of kinds.entries()) {
      const number = isVariadic && i === kinds.length - 1 ? `${i}+` : String(i);
      const rest = kind === "files" ? " -F" : choices(kind);
      if (rest !== "") lines.push(`complete -c cowfs -n "__cowfs_at '${path}' ${number}"${rest}`);
    }
  }
  const withValues = commands.flatMap(({ path, options }) =>
    options.flatMap(({ flags, value }) => (value === undefined ? [] : flags.map((flag) => `'${path} ${flag}'`))),
  );
  const paths = commands.filter(({ path }) => path !== "").map(({ path }) => `'${path}'`);
  const passing = commands.filter(({ passesThrough }) => passesThrough).map(({ path }) => `'${path}'`);
  return `# fish completion of cowfs. For this shell: cowfs completion fish | source; for all to come:
# cowfs completion fish > ~/.config/fish/completions/cowfs.fish

set -g __cowfs_paths ${paths.join(" ")}
set -g __cowfs_with_values ${withValues.join(" ")}
set -g __cowfs_passing ${passing.join(" ")}

# Where the command line has come to: the sub-command, the number of its arguments, and whether options are over.
function __cowfs_where
    set -l path ''
    set -l count 0
    set -l value no
    set -l over no
    for word in (commandline -opc)[2..-1]
        if test $value = yes
            set value no
        else if test $over = no; and string match -q -- '-*' $word
            test "$word" = --; and set over yes
            contains -- (string trim -- "$path $word") $__cowfs_with_values; and set value yes
            contains -- "$path $word" $__cowfs_with_values; and set value yes
        else if test $count = 0; and contains -- (string trim -- "$path $word") $__cowfs_paths
            set path (string trim -- "$path $word")
        else
            set count (math $count + 1)
            contains -- "$path" $__cowfs_passing; and set over yes
        end
    end
    printf '%s\\n' "$path" $count $over
end

# __cowfs_at PATH: its options can come; __cowfs_at PATH N, or N+: an argument after N (or more) others can.
function __cowfs_at
    set -l where (__cowfs_where)
    test "$where[1]" = "$argv[1]"; or return 1
    if not set -q argv[2]
        test $where[3] = no
    else if string match -q '*+' $argv[2]
        test $where[2] -ge (string trim -r -c + $argv[2])
    else
        test $where[2] = $argv[2]
    end
end

# The names that a listing knows, of the data root that the line names.
function __cowfs_names
    set -l words (commandline -opc)
    set -l root
    for i in (seq 2 (count $words))
        string match -q -- '--root=*' $words[$i]; and set root $words[$i]
        test "$words[$i]" = --root; and set root --root $words[(math $i + 1)]
    end
    $words[1] $root $argv 2>/dev/null
end

complete -c cowfs -f
${lines.join("\n")}
`;
}

function choices(kind: Kind): string {
  if (kind === "nothing" || kind === "files") return "";
  if (kind === "directories") return " -a '(__fish_complete_directories)'";
  if (kind === "images" || kind === "containers" || kind === "volumes") {
    return ` -a "(__cowfs_names ${listings[kind]})"`;
  }
  return ` -a '${kindWord(kind).slice(1)}'`;
}
