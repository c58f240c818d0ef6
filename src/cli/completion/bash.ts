import type { DeclaredCommand } from "./declaration.js";
import { listings, lookups } from "./shared.js";

/** A completion script for bash, which needs nothing but bash. */
export function bashScript(commands: readonly DeclaredCommand[]): string {
  return `# bash completion of cowfs. For this shell: source <(cowfs completion bash); for all to come:
# cowfs completion bash > /etc/bash_completion.d/cowfs

${lookups(commands, (name) => name, "printf '%s\\n'")}

# The words of a kind.
_cowfs_words() {
  case $1 in
    images) "\${cowfs[@]}" ${listings.images} 2>/dev/null ;;
    containers) "\${cowfs[@]}" ${listings.containers} 2>/dev/null ;;
    volumes) "\${cowfs[@]}" ${listings.volumes} 2>/dev/null ;;
    files) compopt -o filenames 2>/dev/null; compgen -f -- "$2" ;;
    directories) compopt -o filenames 2>/dev/null; compgen -d -- "$2" ;;
    =*) printf '%s\\n' \${1#=} ;;
  esac
}

_cowfs() {
  local line=\${COMP_LINE:0:COMP_POINT} path= count=0 value= only= word i kind glob
  local -a words cowfs
  # The words as they stand on the line: bash would cut them at each colon.
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  # Whoever calls this by himself may give the words only.
  [[ -n $line ]] || words=("\${COMP_WORDS[@]:0:COMP_CWORD+1}")
  local current=\${words[-1]}
  cowfs=("\${words[0]}")
  for ((i = 1; i < \${#words[@]} - 1; i++)); do
    word=\${words[i]}
    if [[ -n $value ]]; then
      [[ $value == --root ]] && cowfs+=(--root "$word")
      value=
    elif [[ -z $only && $word == --root=* ]]; then
      cowfs+=("$word")
    elif [[ -z $only && $word == -- ]]; then
      only=yes
    elif [[ -z $only && $word == -* ]]; then
      [[ $word != *=* && -n $(_cowfs_value "$path" "$word") ]] && value=$word
    elif [[ $count == 0 && $'\\n'$(_cowfs_subcommands "$path")$'\\n' == *$'\\n'"$word"$'\\n'* ]]; then
      path="\${path:+$path }$word"
    else
      count=$((count + 1))
      _cowfs_passes "$path" && only=yes
    fi
  done

  if [[ -n $value ]]; then
    kind=$(_cowfs_value "$path" "$value")
  elif [[ -z $only && $current == --*=* ]]; then
    kind=$(_cowfs_value "$path" "\${current%%=*}")
    current=\${current#*=}
  elif [[ -z $only && $current == -* ]]; then
    kind="=$(_cowfs_options "$path")"
  else
    kind="=$(_cowfs_subcommands "$path")"
    [[ $count == 0 && $kind != "=" ]] || kind=$(_cowfs_argument "$path" "$count")
  fi
  # What bash takes for a word begins after the last colon or equals sign.
  local before=\${current%"\${current##*[:=]}"}
  [[ $COMP_WORDBREAKS == *:* ]] || before=
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -n $word && $word == "$current"* ]] && COMPREPLY+=("\${word#"$before"}")
  done < <(_cowfs_words "$kind" "$current")
  [[ $kind == files || $kind == directories ]] && compopt -o filenames 2>/dev/null
}

complete -F _cowfs cowfs
`;
}
