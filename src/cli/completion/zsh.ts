import type { DeclaredCommand } from "./declaration.js";
import { listings, lookups } from "./shared.js";

/** A completion script for zsh, with descriptions. */
export function zshScript(commands: readonly DeclaredCommand[]): string {
  const describe = (name: string, description: string): string => `${name.replaceAll(":", "\\:")}:${description}`;
  return `#compdef cowfs
# zsh completion of cowfs. For this shell: source <(cowfs completion zsh); for all to come:
# cowfs completion zsh > a directory of $fpath, as _cowfs

${lookups(commands, describe, "print -r --")}

_cowfs_offer() {
  local -a names
  case $1 in
    images) names=("\${(@f)$("\${cowfs[@]}" ${listings.images} 2>/dev/null)}"); compadd -a names ;;
    containers) names=("\${(@f)$("\${cowfs[@]}" ${listings.containers} 2>/dev/null)}"); compadd -a names ;;
    volumes) names=("\${(@f)$("\${cowfs[@]}" ${listings.volumes} 2>/dev/null)}"); compadd -a names ;;
    files) _files ;;
    directories) _files -/ ;;
    "="*) names=(\${(s: :)1#"="}); compadd -a names ;;
  esac
}

_cowfs() {
  local path_= value= only= word current=$words[CURRENT]
  local -i count=0 i
  local -a cowfs described
  cowfs=($words[1])
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    if [[ -n $value ]]; then
      [[ $value == --root ]] && cowfs+=(--root $word)
      value=
    elif [[ -z $only && $word == --root=* ]]; then
      cowfs+=($word)
    elif [[ -z $only && $word == -- ]]; then
      only=yes
    elif [[ -z $only && $word == -* ]]; then
      [[ $word != *=* && -n $(_cowfs_value "$path_" "$word") ]] && value=$word
    elif (( count == 0 )) && [[ $'\\n'$(_cowfs_subcommands "$path_") == *$'\\n'"$word:"* ]]; then
      path_="\${path_:+$path_ }$word"
    else
      (( count++ ))
      _cowfs_passes "$path_" && only=yes
    fi
  done

  if [[ -n $value ]]; then
    _cowfs_offer "$(_cowfs_value "$path_" "$value")"
  elif [[ -z $only && $current == --*=* ]]; then
    local kind=$(_cowfs_value "$path_" "\${current%%=*}")
    compset -P '*='
    _cowfs_offer "$kind"
  elif [[ -z $only && $current == -* ]]; then
    described=("\${(@f)$(_cowfs_options "$path_")}")
    _describe -o option described
  else
    local all=$(_cowfs_subcommands "$path_")
    if [[ $count == 0 && -n $all ]]; then
      described=("\${(@f)all}")
      _describe command described
    else
      _cowfs_offer "$(_cowfs_argument "$path_" "$count")"
    fi
  fi
}

# Read from a file of $fpath, it is called at once; sourced, it is only made known.
if [[ $funcstack[1] == _cowfs ]]; then
  _cowfs "$@"
else
  compdef _cowfs cowfs
fi
`;
}
