#!/bin/bash
# What the completions of the programs offer, asked of the shells themselves.
#   completions.sh LIST-OPTIONS
set -u
list=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
faults=0
for program in grpo-tune grpo-train grpo-eval; do
  "$list" bash $program >"$tmp/$program.bash" && "$list" zsh $program >"$tmp/_$program" &&
    "$list" fish $program >"$tmp/$program.fish" || exit 1
done
cd "$tmp" && touch run.yaml || exit 1

# Candidates for the last word of a command line, one a line.
in_bash() {
  bash --norc -c 'source "$1.bash"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    function=$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")
    $function; printf "%s\n" "${COMPREPLY[@]}"' bash "$1" "$@" 2>&1
}

# The real completer wants a terminal: what it is given is asked instead.
in_zsh() {
  zsh -f -c '_arguments() { print -rl -- "$@"; (( $# > 1 )) && eval "${@[-2]##*:}" >/dev/null 2>&1 }
    _describe() { :; }
    program=$1; words=("$@"); CURRENT=$#
    source ./_$program' zsh "$@" 2>&1
}

in_fish() {
  fish --no-config -c 'source $argv[1].fish; complete -C "$argv"' "$@" 2>&1
}

# expect SHELL CANDIDATE|-CANDIDATE WORD...: that is, or with "!" is not, among what is offered.
expect() {
  shell=$1 want=$2
  shift 2
  offered=$(in_$shell "$@")
  case $want in
  !*) printf '%s\n' "$offered" | grep -qe "${want#!}" && bad=1 || bad=0 ;;
  *) printf '%s\n' "$offered" | grep -qe "$want" && bad=0 || bad=1 ;;
  esac
  if [ $bad = 1 ]; then
    echo "FAULT: $shell: '$*': expected $want, offered:" $offered
    faults=$((faults + 1))
  fi
}

for shell in bash zsh fish; do
  if ! command -v $shell >/dev/null; then
    echo "SKIP completions-$shell: no $shell"
    continue
  fi
  expect $shell '--budget' grpo-tune --
  expect $shell '--dry-run' grpo-tune tune --
  expect $shell '!--budget' grpo-tune verify --
  expect $shell '--json' grpo-tune verify --
  expect $shell '--replay' grpo-tune detect --
  expect $shell '!--replay' grpo-tune --
  expect $shell '--set' grpo-train --
  expect $shell '--temperature' grpo-eval generate --
done
for shell in bash fish; do
  command -v $shell >/dev/null || continue
  expect $shell 'detect' grpo-tune de
  expect $shell '!verify' grpo-tune de
  expect $shell 'bf16w' grpo-tune --ops b
  expect $shell 's8,bf16w' grpo-tune --ops s8,b
  expect $shell 'learning_rate=' grpo-train --set learn
  expect $shell 'run.yaml' grpo-train ru
  expect $shell 'run.yaml' grpo-tune --model ru
  expect $shell 'run.yaml' grpo-tune import ru
  expect $shell 'logprobs' grpo-eval lo
done
echo "$faults faults"
[ $faults = 0 ]
