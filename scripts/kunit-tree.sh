#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kunit-tree.sh [up|smp]: the KUnit suites built into a kernel, by kunit.py and by the
# steps of kunit/README.rst, which are read from there: on 6.12 with one CPU (up), on
# 7.x with four (smp). All suites share one core, which starts once and stays.
#
# The kernel is compiled by kunit.py, in about three minutes, and kept in the cache.
# Ends with "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

flavour=${1:-up}
case $flavour in
up) series=6.12 block=1 ;;
smp) series=7 block=2 ;;
*) die "no kernel tree $flavour here: UML= takes up (6.12) or smp (7.x)" ;;
esac

need_build_packages
need_packages python3
kernel_source "$series"
work_dir "kunit-tree-$flavour"
tree=$work/tree

# A copy of hard links: what the steps write to must be files of its own.
if ! cmp -s "$source/.complete" "$tree/.complete"; then
	rm -rf "$tree"
	new=$tree.tmp.$$
	cp -al "$source" "$new"
	for f in lib/Makefile lib/Kconfig; do
		cp --remove-destination "$source/$f" "$new/$f"
	done
	mv "$new" "$tree"
fi
cp "$source/lib/Makefile" "$source/lib/Kconfig" "$tree/lib/"
rm -rf "$tree/lib/pcpuref"

# commands N: the Nth block of commands in the README's section.
commands()
{
	awk -v wanted="$1" '
	/^In a kernel tree, with kunit\.py$/ { here = 1 }
	/^What a KUnit suite cannot show$/ { here = 0 }
	here && /^  / { if (!inside) n++; inside = 1; if (n == wanted) print; next }
	NF { inside = 0 }' "$top/kunit/README.rst"
}

# The second block has the same first steps, and another last one.
{
	echo "set -e"
	commands 1 | if [ "$block" -eq 1 ]; then cat; else grep -v 'kunit\.py'; fi
	[ "$block" -eq 1 ] || commands "$block"
} >"$work/steps"
[ "$(grep -c 'kunit\.py run' "$work/steps")" -eq 1 ] ||
	die "kunit/README.rst has no block of commands with kunit.py where it should"
# kbuild goes by time: a copy that is newer than its object is compiled again.
sed -i 's/^ *cp -r /&-p /' "$work/steps"

say "building and running with kunit.py ($flavour)"
rc=0
(cd "$tree" && PCPUREF=$top sh "$work/steps") >"$work/kunit.log" 2>&1 </dev/null 6>&- || rc=$?
log=$tree/.kunit/test.log
sum=$(sed -n 's/.*Testing complete\. Ran [0-9]* tests: *//p' "$work/kunit.log")
if [ -z "$sum" ]; then
	tail -n 40 "$work/kunit.log"
	die "kunit.py came to no end, see $work/kunit.log"
fi

# kunit.py's own configuration makes the kernel say this while it boots.
{
	echo "pcpuref-allow: No virtio device ID configured for PCI - no PCI support"
	cat "$log"
} >"$work/log"
complaints "$work/log" >"$work/warnings"
sed 's/^/error: /' "$work/warnings"
problems=$(wc -l <"$work/warnings")
grep -a 'FAILED\]\|ERROR\|EXPECTATION FAILED' "$work/kunit.log" || :
# Its words are "passed: 376, failed: 2, crashed: 1, skipped: 11, errors: 3".
echo "$sum" | awk -v rc="$rc" -v problems="$problems" '{
	for (i = 1; i < NF; i++)
		n[$i] = $(i + 1) + 0
	failed = n["failed:"] + n["crashed:"] + n["errors:"] + problems
	if (rc && !failed)
		failed = 1
	printf "%d passed, %d failed, %d skipped\n", n["passed:"], failed, n["skipped:"]
	exit failed || !n["passed:"]
}'
