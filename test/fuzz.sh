#!/bin/sh
# Runs every fuzz target of the module, one after the other, for $1 each.
set -eu
go=${GO:-go}
time=${1:-1m}
found=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' internal cmd | sort); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		found=$((found + 1))
		echo "$(dirname "$file") $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 2s "./$(dirname "$file")" >/tmp/grapnel-fuzz.$$ 2>&1 ||
			{ cat /tmp/grapnel-fuzz.$$; exit 1; }
	done
done
rm -f /tmp/grapnel-fuzz.$$
[ "$found" -gt 0 ] || { echo "there is no fuzz target" >&2; exit 1; }
echo "$found fuzz targets, nothing found"
