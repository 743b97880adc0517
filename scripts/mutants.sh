#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# mutants.sh [NUMBER | NAME]...: does each patch of selftests/mutants/, which breaks
# one thing, make a test fail? A patch begins with
#
#	Breaks: WHAT
#	Caught-by: SUITE
#	Fails: TEXT
#
# where TEXT, of one of several such lines, is in the name of a case of SUITE that fails, in an
# error, or, of litmus, in what is missing; and SUITE is one of
#
#	kunit up|smp SUITE...			as of kunit.sh
#	selftest KERNEL PROGRAM... SUITE...	programs end in .sh; suites of kunit.sh
#	debug kasan|kcsan PROGRAM...		as of debug-check.sh, with its two scans for leaks
#	litmus					litmus.sh --code
#	fastpath				fastpath.sh
#
# Each suite must pass without a patch first. Then each patch is applied to a copy of
# the tree, and the suite must fail: by the case that the patch names, or by what the kernel
# reports, or because the machine crashes or hangs. That other cases fail alone is "other",
# and is not caught. A patch that does not apply as it is, a build that fails and a machine
# that does not boot are errors: they say nothing about tests.
#
# Prints a table and ends with "N passed, N failed, N skipped": a mutant that is caught
# has passed. Environment: MUTANTS, another folder of patches.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_packages patch
patches=${MUTANTS:-$top/selftests/mutants}
work_dir mutants
# What is built of it is kept, see build-modules.sh: its place must stay the same.
tree=$work/tree
out=$work/out
passed=0
failed=0

field()
{
	sed -n "s/^$2: *//p; /^diff /q" "$1"
}

: >"$work/list"
if [ $# -eq 0 ]; then
	ls "$patches"/*.patch >"$work/list"
fi
for name; do
	for p in "$patches/$name.patch" "$patches/$name"-*.patch \
		"$patches"/[0-9]*-"$name".patch; do
		[ ! -e "$p" ] || echo "$p"
	done >"$work/found"
	[ -s "$work/found" ] || die "no mutant $name in $patches"
	cat "$work/found" >>"$work/list"
done

# The kinds of suites whose second word is where they run.
with_place='^(kunit|selftest|debug)$'

# place: of each suite on stdin its kind, and where it runs
place()
{
	awk -v with_place="$with_place" '{ print $1, $1 ~ with_place ? $2 : "" }'
}

# run_suite KIND [WORD]...: in the copy.
limit=900
run_suite()
{
	_kind=$1
	_where=${2:-}
	[ $# -lt 2 ] || shift
	shift
	case $_kind in
	kunit)
		KUNIT_SUITES="$*" TIMEOUT=$limit "$tree/scripts/kunit.sh" "$_where"
		;;
	selftest)
		_programs=
		_suites=
		for _word; do
			case $_word in
			*.sh) _programs="$_programs${_programs:+ }$_word" ;;
			*) _suites="$_suites${_suites:+ }$_word" ;;
			esac
		done
		TIMEOUT=$((limit * 5)) "$tree/scripts/selftest.sh" "$_where" \
			"SELFTESTS=\"$_programs\"" ${_suites:+"KUNIT_SUITES=\"$_suites\""}
		;;
	debug)
		SELFTESTS="$*" TIMEOUT=$((limit * 10)) "$tree/scripts/debug-check.sh" "$_where" \
			selftest
		;;
	litmus) "$tree/scripts/litmus.sh" --code ;;
	fastpath) "$tree/scripts/fastpath.sh" ;;
	*) die "no suite $_kind: see the head of $0" ;;
	esac
}

# all_that_failed KIND: each case, then what it led to. Of litmus.sh: which test.
all_that_failed()
{
	if [ "$1" = litmus ]; then
		sed -n 's/^# \([^:]*\): .*/\1/p' "$out"
	else
		sed -n 's/^ *not ok \([0-9][0-9]* \)\{0,1\}\(- \)\{0,1\}//p' "$out"
		sed -n 's/^error: //p' "$out"
	fi
}

# try SUITE [TEXT]: run it, and set $verdict (passed, caught, other or error), $why and $secs.
try()
{
	_started=$(date +%s)
	_status=0
	# shellcheck disable=SC2086 # a list of words
	(run_suite $1) >"$out" 2>"$out.err" || _status=$?
	secs=$(($(date +%s) - _started))
	verdict=error
	_log=$(sed -n "s/^# the .*kernel's log: //p" "$out" | head -n 1)
	if ! tail -n 1 "$out" | grep -q -x '[0-9]* passed, [0-9]* failed, [0-9]* skipped'; then
		why=$(grep -v '^#' "$out.err" | tail -n 1)
	elif [ "$_status" -eq 0 ]; then
		verdict=passed
		why=$(tail -n 1 "$out")
	elif [ -n "$_log" ] && ! grep -q '^pcpuref-guest: start' "$_log"; then
		why="the machine did not boot"
	elif [ -n "$_log" ] && grep -q 'Unknown symbol' "$_log"; then
		why="a module could not be loaded"
	else
		all_that_failed "${1%% *}" >"$work/failed"
		why=$(head -n 1 "$work/failed")
		if [ -n "${2:-}" ] && grep -q -F -e "$2" "$work/failed"; then
			verdict=caught
			why=$(grep -F -e "$2" "$work/failed" | head -n 1)
		elif [ -n "$why" ]; then
			verdict=other
		fi
	fi
}

row()
{
	printf '%-8s %-30s %-47s %-27s %-50.50s %4s\n' "$@"
}

count()
{
	if [ "$1" = "$2" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		sed 's/^/# /' "$out.err" | tail -n 15
	fi
}

rm -rf "$tree"
mkdir "$tree"
(cd "$top" && tar --exclude=./.git -cf - .) | tar -C "$tree" -xf -

row "" mutant breaks "caught by" "what failed" s

# --- Without a mutant -------------------------------------------------------------

# Suites that run in one machine are tried together.
while read -r p; do
	field "$p" Caught-by
done <"$work/list" | awk -v with_place="$with_place" '
	{
		words = $1 ~ with_place ? 2 : 1
		group = words == 2 ? $1 " " $2 : $1
		if (!(group in all))
			order[++n] = group
		all[group] = all[group]
		for (i = words + 1; i <= NF; i++)
			if (!seen[group, $i]++)
				all[group] = all[group] " " $i
	}
	END {
		for (i = 1; i <= n; i++)
			print order[i] all[order[i]]
	}' >"$work/controls"
: >"$work/broken"
: >"$work/times"
while read -r suite <&4; do
	try "$suite"
	row "$verdict" control "" "$suite" "$why" "$secs"
	count "$verdict" passed
	[ "$verdict" = passed ] ||
		echo "$suite" | place >>"$work/broken"
	echo "$secs $(echo "$suite" | place)" >>"$work/times"
done 4<"$work/controls"

# limit_of SUITE: with a mutant a machine that hangs is soon given up, but not one that is
# slow. Three times as long as the control took, which had all suites that are run there.
# The limits of selftest and debug are five and ten times what this prints.
limit_of()
{
	echo "$1" | place | awk '
		NR == FNR { secs = $1; sub(/^[0-9]+ /, ""); took[$0] = secs; next }
		{
			limit = int(3 * took[$0] / ($1 == "selftest" ? 5 : $1 == "debug" ? 10 : 1))
			print (limit > 60 ? limit : 60)
		}' "$work/times" -
}

# --- Mutants ----------------------------------------------------------------------

while read -r p <&4; do
	name=$(basename "$p" .patch)
	suite=$(field "$p" Caught-by)
	text=$(field "$p" Fails)
	: >"$out.err"
	if [ -z "$text" ]; then
		verdict=error why="it does not say what fails" secs=0
	elif ! patch -d "$tree" -p1 -F 0 --no-backup-if-mismatch -s -f <"$p" >"$out" 2>&1; then
		verdict=error why="does not apply" secs=0
		cp "$out" "$out.err"
	elif echo "$suite" | place | grep -q -x -F -f - "$work/broken"; then
		verdict=error why="the suite fails without it" secs=0
	else
		limit=$(limit_of "$suite")
		try "$suite" "$text"
	fi
	[ "$verdict" != passed ] || verdict=SURVIVED
	row "$verdict" "$name" "$(field "$p" Breaks)" "$suite" "$why" "$secs"
	count "$verdict" caught
	sed -n 's,^+++ b/,,p' "$p" | while read -r f; do
		rm -f "$tree/$f" "$tree/$f.rej" "$tree/$f.orig"
		[ ! -e "$top/$f" ] || cp "$top/$f" "$tree/$f"
	done
done 4<"$work/list"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
