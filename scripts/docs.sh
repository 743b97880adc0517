#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# docs.sh [FOLDER]: the documentation as HTML, FOLDER/html/index.html, and the quick
# reference as a man page, FOLDER/pcpuref.7. The reference of functions and types is made
# of their kernel-doc comments, by the kernel's own script. A warning is an error.
# Without a folder all goes to docs/ below the cache.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_packages python3-sphinx perl
kernel_source 6.12
out=${1:-$cache/docs}
mkdir -p "$out/src"
out=$(cd "$out" && pwd)
cd "$top"

# What Sphinx reads: the pages, and one that is generated.
rm -rf "$out/src"
mkdir "$out/src"
cp -R Documentation samples scripts selftests pcpuref*.h "$out/src/"

# section TITLE: the head of the comments that follow.
section()
{
	printf '\n%s\n%s\n\n' "$1" "$(printf '%s' "$1" | sed 's/./=/g')"
}

# comments ARGUMENT...: of these files, in the form that Sphinx reads. A file without one
# is no error.
comments()
{
	"$source/scripts/kernel-doc" -rst -Wall -sphinx-version 5.3.0 "$@" 2>"$out/kernel-doc" ||
		:
	! grep -v 'no structured comments found$' "$out/kernel-doc" >&2
}

{
	echo "Functions and types"
	echo "*******************"
	echo
	echo "From the comments in the sources. \`\`api.rst\`\` has all functions in a table."
	section pcpuref.h
	comments pcpuref.h
	section "What the core exports"
	comments -export pcpuref.c core/*.c
	section pcpuref_kref.h
	comments pcpuref_kref.h
	section pcpuref_inspect.h
	# Sphinx takes a structure and a function of one name for two definitions of it.
	comments -nosymbol pcpuref_memory pcpuref_inspect.h
	section pcpuref_holders.h
	comments pcpuref_holders.h
	comments -export holders/tokens.c
} >"$out/src/Documentation/reference.rst"

for builder in html man; do
	target=$out
	[ "$builder" = man ] || target=$out/html
	sphinx-build -q -W -E -d "$out/.doctrees" -b "$builder" "$out/src/Documentation" "$target"
done
echo "$out/html/index.html"
echo "$out/pcpuref.7"
