#!/bin/sh
# docs/options.md and docs/metrics.md are what the tables say.
#   options_page.sh LIST-OPTIONS SOURCE-ROOT
set -eu
page=$(mktemp)
trap 'rm -f "$page"' EXIT
for what in markdown:options metrics:metrics; do
  name=docs/${what#*:}.md
  "$1" "${what%:*}" >"$page"
  if ! diff -u "$2/$name" "$page"; then
    echo "$name is old; run: build/runtime/list-options ${what%:*} > $name"
    exit 1
  fi
done
