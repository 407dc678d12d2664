#!/bin/sh
# docs/options.md is what the option table says.
#   options_page.sh LIST-OPTIONS SOURCE-ROOT
set -eu
page=$(mktemp)
trap 'rm -f "$page"' EXIT
"$1" markdown >"$page"
if ! diff -u "$2/docs/options.md" "$page"; then
  echo "docs/options.md is old; run: build/runtime/list-options markdown > docs/options.md"
  exit 1
fi
