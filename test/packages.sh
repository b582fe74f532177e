#!/bin/sh
# Installs the Debian packages that the tests need. Quiet when all are there.
set -eu

missing=""
# need COMMAND PACKAGE: the command may come from anywhere, the package is Debian's.
need() {
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need strace strace
need curl curl
# Debian keeps PostgreSQL's programs off the PATH. Whether the cluster that comes
# with them runs does not matter: the tests start servers of their own.
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "the tests need these Debian packages or what they hold:$missing" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "the tests need these Debian packages; run: sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# $missing is split into words on purpose.
# shellcheck disable=SC2086
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "could not install:$missing" >&2
	exit 1
fi
echo "installed:$missing"
