#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-api.sh: api.rst names every function that has a kernel-doc comment,
# and no other.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n 's/^ \* \(p*P*[cC][pP][a-zA-Z_]*\) - .*/\1/p' "$here/../pcpuref.h" \
	"$here/../pcpuref.c" "$here"/../core/*.c "$here/../pcpuref_kref.h" \
	"$here/../pcpuref_inspect.h" "$here/../holders/tokens.c" | sort -u >"$work/documented"
# The headers' own titles have the form, too.
sed -i -e '/^pcpuref$/d' -e '/^pcpuref_kref$/d' "$work/documented"
# shellcheck disable=SC2016 # backquotes of reStructuredText
grep -oE '``(pcpuref|PCPUREF)_[a-zA-Z_]+\(' "$here/api.rst" | tr -d '`(' |
	sort -u >"$work/listed"
[ -s "$work/documented" ]
diff "$work/documented" "$work/listed" | sed -n \
	-e 's/^</api.rst lacks/p' -e 's/^>/api.rst has what is not documented:/p' \
	>"$work/out"
cat "$work/out" >&2
[ ! -s "$work/out" ]
