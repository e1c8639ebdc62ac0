#!/usr/bin/env bash
# Runs every fuzz target of the repository, one after the other, for FUZZTIME each. What a target finds is left in its
# package's testdata/fuzz: commit it, and every later test run tries it again.
set -euo pipefail
cd "$(dirname "$0")/.."
FUZZTIME=${FUZZTIME:-30s}
ONLY=${ONLY:-.}
grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}' | while read -r target; do
    [[ "$(dirname "$file") $target" =~ $ONLY ]] || continue
    echo "== $(dirname "$file") $target"
    # In the package's own directory, as some packages are of another module. What is new is hardly made smaller: by
    # default each such input takes a minute, in which a target that runs a chain does nothing else.
    go -C "$(dirname "$file")" test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 20x . </dev/null
  done
done
