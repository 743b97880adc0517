#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lives.sh LOG [TITLE]: draw the lives of the references in the console LOG of a
# machine, beside it, and say where the files are. LIVES_OPTIONS are more options
# of lives.py, which is what draws them.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

log=$1
out=${log%/*}
need_packages python3
rm -f "$out/lives.svg" "$out/lives.json"
# shellcheck disable=SC2086 # a list of words
"$top/scripts/lives.py" --title "${2:-Lives of references}" --svg "$out/lives.svg" \
	--json "$out/lives.json" ${LIVES_OPTIONS:-} "$log" || die "no picture of the lives in $log"
say "lives of the references: $out/lives.svg"
say "the same for ui.perfetto.dev or chrome://tracing: $out/lives.json"
