#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-scripts.sh: testing.rst says of each file in scripts/ what it is for, of no other,
# and how many lines they have, to 500.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../scripts"

section=$(sed -n '/^The scripts, and other tools$/,$p' "$here/testing.rst")
# shellcheck disable=SC2016 # backquotes of reStructuredText
names=$(echo "$section" | sed -n '/^====/,$p' | grep -oE '``[a-z*-]+\.(sh|py|awk|c)``' | tr -d '`')
rc=0
problem()
{
	echo "check-scripts: $*" >&2
	rc=1
}

set -f
# shellcheck disable=SC2046 # a list of words
set -- $(find . -type f ! -name '*~')
for f; do
	f=${f#./}
	found=
	for n in $names; do
		# shellcheck disable=SC2254 # a pattern is meant
		case $f in
		$n) found=1 ;;
		esac
	done
	[ -n "$found" ] || problem "testing.rst does not say what $f is for"
done
set +f
for n in $names; do
	# shellcheck disable=SC2086 # a pattern is meant
	set -- $n "$here"/$n
	[ -e "$1" ] || [ -e "$2" ] || problem "there is no $n, of which testing.rst tells"
done

# lines WORDS FILE...: what the page has before WORDS is the number of lines of the files
lines()
{
	words=$1
	shift
	said=$(echo "$section" | tr '\n' ' ' | sed -n "s/.* \([0-9]*\) $words.*/\1/p")
	are=$(cat "$@" | wc -l)
	if [ -z "$said" ] || [ "$((are - said))" -gt 500 ] || [ "$((said - are))" -gt 500 ]; then
		problem "there are $are lines, and testing.rst says \"${said:-nothing} $words\""
	fi
}
lines "lines in all" ./*
lines "of them tests" test-*.sh
exit "$rc"
