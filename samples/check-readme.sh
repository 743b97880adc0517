#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-readme.sh [README]: the C code that the README shows is the code of
# pcpuref_hello.c, which is compiled.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
readme=${1:-$here/../README.md}

shown=$(mktemp)
trap 'rm -f "$shown"' EXIT
# shellcheck disable=SC2016 # backquotes of Markdown
sed -n '/^```c$/,/^```$/{/^```/d;p;}' "$readme" >"$shown"
if [ ! -s "$shown" ]; then
	echo "check-readme: $readme has no block of C code" >&2
	exit 1
fi
if ! diff -u "$here/pcpuref_hello.c" "$shown"; then
	echo "check-readme: $readme does not show samples/pcpuref_hello.c" >&2
	exit 1
fi
