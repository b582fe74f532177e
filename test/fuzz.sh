#!/bin/sh
# Runs every fuzz target of the module, one after the other. $1 is how long or
# how often each: a time (1m, the default) or a count of inputs (3000x).
#
# With a time, Go up to 1.26 fails now and then with "context deadline exceeded"
# although nothing was found (golang/go#75804): a count has no such deadline.
set -eu
go=${GO:-go}
time=${1:-1m}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
found=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' internal cmd | sort); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		found=$((found + 1))
		echo "$(dirname "$file") $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1000x "./$(dirname "$file")" >"$out" 2>&1 ||
			{ cat "$out"; exit 1; }
	done
done
[ "$found" -gt 0 ] || { echo "there is no fuzz target" >&2; exit 1; }
echo "$found fuzz targets, nothing found"
