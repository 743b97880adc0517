#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-reference.sh: quick-reference.rst has every parameter, file and tracepoint, and
# every name of a mode and a state, and no parameter and tracepoint that is not there.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$here/..
page=$here/quick-reference.rst
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{
	sed -n 's/^module_param\(_cb\)*(\([a-z_]*\),.*/\2/p' "$top"/core/*.c "$top"/pcpuref.c \
		"$top"/watch/*.c "$top"/holders/*.c
	sed -n 's/^PCPUREF_TRACEPOINT(\([a-z_]*\));/\1/p' "$top/pcpuref_trace.h"
	sed -n 's/.*debugfs_create_file("\([a-z_]*\)".*/\1/p' "$top"/watch/*.c
	# The tables of names: [PCPUREF_MODE_LAZY] = "lazy",
	sed -n 's/^\t\t\[PCPUREF_\(MODE\|STATE\)_[A-Z]*\][\t ]*= "\([a-z]*\)",/\2/p' "$top/core/events.c"
} | sort -u >"$work/there"
[ "$(wc -l <"$work/there")" -gt 25 ] || {
	echo "found next to nothing in the sources: their form has changed" >&2
	exit 1
}

# shellcheck disable=SC2016 # backquotes of reStructuredText
grep -o '``[a-z_]*' "$page" | tr -d '`' | sort -u >"$work/named"
comm -23 "$work/there" "$work/named" | sed 's/^/quick-reference.rst lacks /' >"$work/out"

# Terms of its lists of parameters and tracepoints: what is below is indented.
# shellcheck disable=SC2016 # backquotes of reStructuredText
sed -n '/^Parameters$/,/^Files$/p;/^Tracepoints$/,/^Words$/p' "$page" | awk '
	/^    / && before ~ /^``/ { print before }
	{ before = $0 }' | grep -o '``[a-z_]*``' | tr -d '`' | sort -u >"$work/terms"
comm -13 "$work/there" "$work/terms" |
	sed 's/^/quick-reference.rst has what is not there: /' >>"$work/out"
cat "$work/out" >&2
[ ! -s "$work/out" ]
