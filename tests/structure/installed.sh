#!/bin/sh
# Installs into an empty folder and uses what is there as another project would: every header compiles alone as C and
# as C++, the library exports only cg_ symbols, a program builds with pkg-config and runs, the programs and man pages
# are there.
#   installed.sh SOURCE-ROOT BUILD-ROOT
set -eu
source=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc=${CC:-cc}
cxx=${CXX:-c++}
faults=0

bad() {
  echo "FAULT: $*"
  faults=$((faults + 1))
}

meson install -C "$2" --no-rebuild --destdir "$tmp/root" >"$tmp/log" 2>&1 || {
  cat "$tmp/log"
  exit 1
}

pc=$(find "$tmp/root" -name cpu-grpo.pc)
[ -n "$pc" ] || { echo "FAULT: no cpu-grpo.pc is installed"; exit 1; }
prefix=$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_PATH="$(dirname "$pc"):${PKG_CONFIG_PATH:-}"
# The prefix of the installation, moved to where it lies now.
cflags=$(pkg-config --define-variable=prefix="$tmp/root$prefix" --cflags cpu-grpo)
libs=$(pkg-config --define-variable=prefix="$tmp/root$prefix" --libs cpu-grpo)

headers=0
for header in $(find "$tmp/root$prefix/include/cpu-grpo" -name '*.h' | sort); do
  name=${header#"$tmp/root$prefix/include/cpu-grpo/"}
  headers=$((headers + 1))
  echo "#include \"$name\"" >"$tmp/one.c"
  "$cc" -std=c11 -pedantic -Wall -Wextra -Werror $cflags -fsyntax-only "$tmp/one.c" || bad "$name does not compile as C11"
  if command -v "$cxx" >/dev/null; then
    "$cxx" -std=c++17 -Wall -Wextra -Werror $cflags -fsyntax-only -x c++ "$tmp/one.c" ||
      bad "$name does not compile as C++17"
  fi
done
[ "$headers" -ge 10 ] || bad "only $headers headers are installed"
command -v "$cxx" >/dev/null || echo "SKIP headers-as-c++: no C++ compiler"

for library in $(find "$tmp/root" -name 'libcpu_grpo.*'); do
  case $library in
  *.a) nm -g --defined-only "$library" ;;
  *) nm -D --defined-only "$library" ;;
  esac 2>/dev/null | awk 'NF == 3 { n++; if ($3 !~ /^cg_/) print $3 } END { if (n < 50) print n + 0, "symbols-only" }' \
    >"$tmp/foreign"
  if [ -s "$tmp/foreign" ]; then bad "$(basename "$library") exports $(tr '\n' ' ' <"$tmp/foreign")"; fi
done

"$cc" -std=c11 -Wall -Wextra -Werror $cflags "$source/tests/structure/use_library.c" $libs -o "$tmp/use" ||
  bad "a program does not build with pkg-config's flags"
[ ! -x "$tmp/use" ] || "$tmp/use" || bad "the program that uses the library failed"

for program in grpo-tune grpo-train grpo-eval; do
  [ -x "$tmp/root$prefix/bin/$program" ] || bad "$program is not installed"
done
for program in "$tmp/root$prefix"/bin/*; do
  "$program" --version || bad "$(basename "$program") --version"
  [ -s "$tmp/root$prefix/share/man/man1/$(basename "$program").1" ] || bad "no man page $(basename "$program")(1)"
done
for program in grpo-tune grpo-train; do
  page=$tmp/root$prefix/share/man/man1/$program.1
  if grep -q '@[A-Z]* *[a-z-]*@' "$page" || ! grep -q '^\.It ' "$page"; then bad "$program(1) lacks its options"; fi
done
for program in grpo-tune grpo-train grpo-eval; do
  for file in bash-completion/completions/$program zsh/site-functions/_$program fish/vendor_completions.d/$program.fish; do
    [ -s "$tmp/root$prefix/share/$file" ] || bad "no completion $file"
  done
done

echo "$headers headers, $faults faults"
[ "$faults" = 0 ]
