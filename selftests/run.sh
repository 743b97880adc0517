#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run all test programs, or those of $SELFTESTS, and print KTAP: a test for
# each program, with its own tests nested. Exit status 0 if all passed.
#
# A program passes if it says so, if it has run tests at all, and if the
# kernel's log has nothing in it but what the program announced. It may take as long
# as "settings" says, or $SELFTEST_TIMEOUT seconds.

set -eu

cd "$(dirname "$0")"
# shellcheck source=selftests/lib.sh
. ./lib.sh

timeout=${SELFTEST_TIMEOUT:-$(sed -n 's/^timeout=//p' settings)}
programs=${SELFTESTS:-load.sh api.sh states.sh storm.sh differ.sh misuse.sh kref.sh unload.sh trace.sh watch.sh holders.sh tasks.sh faults.sh porting.sh kunit.sh}

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
# shellcheck disable=SC2086 # a list of words
set -- $programs

echo "KTAP version 1"
echo "1..$#"
for program; do
	mark
	started=$(date +%s)
	{
		rc=0
		timeout "$timeout" sh "./$program" || rc=$?
		echo "$rc" >"$tmp/rc"
	} 2>&1 | tee "$tmp/out" | sed 's/^/    /'
	rc=$(cat "$tmp/rc")
	diag "${program%.sh}: $(($(date +%s) - started)) s"

	why=
	slice >"$tmp/slice" || {
		# Its subtests have looked at their slices one by one. What they expect comes
		# after their marks.
		diag "the log has wrapped; what is left of it was looked at"
		lines_since "" >"$tmp/slice" || :
	}
	why=$(warnings "$tmp/slice")
	if [ "$rc" -ne 0 ] && [ "$rc" -ne "$KSFT_SKIP" ]; then
		why="$why${why:+
}exit status $rc"
	elif [ "$rc" -eq 0 ] && ! grep -q '^ok ' "$tmp/out"; then
		why="$why${why:+
}no test was run"
	fi
	if [ -z "$why" ] && [ "$rc" -eq "$KSFT_SKIP" ]; then
		skip "${program%.sh}" "$(sed -n 's/^1\.\.0 # SKIP //p' "$tmp/out")"
	else
		verdict "${program%.sh}" "$why"
	fi
done

[ "$tests" -gt 0 ] && [ "$failures" -eq 0 ] || exit 1
