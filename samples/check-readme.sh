#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-readme.sh [README]: the C code that the README shows is the code of
# pcpuref_hello.c, which is compiled, and the Kbuild is that of template/.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
readme=${1:-$here/../README.md}

shown=$(mktemp)
trap 'rm -f "$shown"' EXIT
# shows LANGUAGE FILE: the block of that language in README is what stdin has
shows()
{
	# shellcheck disable=SC2016 # backquotes of Markdown
	sed -n '/^```'"$1"'$/,/^```$/{/^```/d;p;}' "$readme" >"$shown"
	if [ ! -s "$shown" ]; then
		echo "check-readme: $readme has no block of $1" >&2
		exit 1
	fi
	if ! diff -u - "$shown"; then
		echo "check-readme: $readme does not show samples/$2" >&2
		exit 1
	fi
}

shows c pcpuref_hello.c <"$here/pcpuref_hello.c"
grep -v '^# SPDX' "$here/template/Kbuild" | shows make template/Kbuild
