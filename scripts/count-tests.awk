# Reads Meson's testlog.json (one test on a line) and prints "PASSED FAILED SKIPPED", then "  LABELname: reason" for each
# skipped one. A cmocka executable counts with each of its tests, any other as one. A printed line "SKIP name: reason"
# is a skipped test too: how a test that goes through many cases names those that could not run here.

function field(key,    at, rest) {
  at = index($0, "\"" key "\": \"")
  if (!at) return ""
  rest = substr($0, at + length(key) + 5)
  match(rest, /([^"\\]|\\.)*/)
  return substr(rest, 1, RLENGTH)
}

{
  name = field("name")
  sub(/^cpu-grpo:/, "", name)
  split("", seen)
  result = field("result")
  n = split(field("stdout") "\\n" field("stderr"), line, /\\n/)
  ok = bad = cases = listed = named = 0
  for (i = 1; i <= n; i++) {
    gsub(/\\"/, "\"", line[i])
    if (match(line[i], /^\[  PASSED  \] [0-9]+ test/)) { ok += substr(line[i], 14) + 0; cases = 1 }
    if (match(line[i], /^\[  FAILED  \] [0-9]+ test/)) bad += substr(line[i], 14) + 0
    if (match(line[i], /^\[  SKIPPED \] [0-9]+ test/)) left = i
    else if (line[i] ~ /^\[  SKIPPED \] / && !left) case_name[++listed] = substr(line[i], 14)
    if (line[i] ~ /^SKIP [^:]+: / && !(line[i] in seen)) { seen[line[i]]; what[++named] = substr(line[i], 6) }
  }
  left = 0
  if (!cases) {
    if (result == "OK" || result == "EXPECTEDFAIL") ok = 1
    else if (result == "SKIP" && !named) what[++named] = "it says that it cannot run here"
  }
  if (result != "OK" && result != "EXPECTEDFAIL" && result != "SKIP" && !bad) bad = 1
  passed += ok
  failed += bad
  # A cmocka test that prints its reason and then skips itself is one, not two.
  for (i = 1; i <= named; i++) skips[++skipped] = name ": " what[i]
  for (i = named + 1; i <= listed; i++) skips[++skipped] = name ": " case_name[i] ": its output says why"
}

END {
  print passed + 0, failed + 0, skipped + 0
  for (i = 1; i <= skipped; i++) print "  " label skips[i]
}
