#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Each allocation fails in turn: of init, of counters for a lazy reference, of tokens, of
# the tables in debugfs, and of the modules when they are loaded. What fails says so, what
# does not fail works, and nothing is lost or left behind. Each test says how many
# allocations have failed; none is a failure of the test.
#
# Needs a kernel with FAULT_INJECTION, FAILSLAB, FAIL_PAGE_ALLOC and
# FAULT_INJECTION_DEBUG_FS. A run under kmemleak finds what has been lost of memory.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
debugfs=/sys/kernel/debug
# FLAVOUR=kasan says that all is there.
skip_or_fail()
{
	[ "${FLAVOUR:-}" != kasan ] || {
		not_ok can_fail "$1"
		finish
	}
	skip_all "$1"
}
for f in $debugfs/failslab $debugfs/fail_page_alloc /proc/self/fail-nth; do
	[ -e "$f" ] || skip_or_fail "this kernel cannot make allocations fail: it has no $f"
done
echo "KTAP version 1"
for m in pcpuref_watch pcpuref_holders pcpuref_test_arm pcpuref_test_faults \
	pcpuref_test_holders pcpuref_test_borrower; do
	module_path "$m" >/dev/null || skip_or_fail "no $m.ko; set MODDIR"
done
begin_without_modules

# --- What fails ---------------------------------------------------------------------

# set_faults ATTRIBUTES FILE=VALUE...: in debugfs
set_faults()
{
	attributes=$debugfs/$1
	shift
	for setting; do
		echo "${setting#*=}" >"$attributes/${setting%%=*}"
	done
}

# Also allocations that may wait for memory, which the kernel leaves out by default, and
# without a stack in the log for each. By themselves none fails.
set_faults failslab probability=0 verbose=0 ignore-gfp-wait=N task-filter=N
set_faults fail_page_alloc probability=0 verbose=0 ignore-gfp-wait=N task-filter=N min-order=0

# shellcheck disable=SC2317 # called by the trap
restore_faults()
{
	set_faults failslab probability=0 verbose=2 ignore-gfp-wait=Y task-filter=N times=1 space=0
	set_faults fail_page_alloc probability=0 verbose=2 ignore-gfp-wait=Y task-filter=N \
		ignore-gfp-highmem=Y min-order=1 times=1 space=0
}

why=$(load pcpuref_test_arm) || {
	not_ok load "$why"
	finish
}
armed=/sys/module/pcpuref_test_arm/parameters
trap 'restore_faults; rm -rf "$tmp"' EXIT

# arm WHERE NTH
arm()
{
	echo "$1" >$armed/where
	echo "$2" >$armed/nth
}

# Whether the fault has struck, when what it was for is over.
has_struck()
{
	tries=100
	while read -r fault <$armed/result && case $fault in waiting | within) true ;; *) false ;; esac; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || break
		sleep 0.1
	done
	[ "$fault" = struck ] || [ "$fault" = refused ]
}

# More than anything has.
too_many=400

# --- Loading ------------------------------------------------------------------------

# What a module leaves in debugfs that is not there.
left_in_debugfs()
{
	loaded pcpuref_watch || [ ! -e $debugfs/pcpuref ] || echo "debugfs/pcpuref is left;"
	loaded pcpuref || [ ! -e $debugfs/fail_pcpuref ] || echo "debugfs/fail_pcpuref is left;"
}

# try_load NAME: with whatever fails, which may make it fail for lack of memory. Then it has
# to succeed the next time; the insmod of busybox tries again by itself. All else is in $why.
try_load()
{
	said=$(load "$1") || case $said in
	*"annot allocate memory"*)
		why=$why$(left_in_debugfs)
		said=$(load "$1")
		;;
	*) false ;;
	esac || why="$why$said;"
	if ! grep -s 'no totals' $debugfs/pcpuref/stats >"$tmp/no-totals"; then
		:
	elif grep -q 'error -12)' "$tmp/no-totals"; then
		without_totals=$((without_totals + 1))
	else
		why="$why$(cat "$tmp/no-totals");"
	fi
	! loaded "$1" || why=$why$(unload "$1") || :
	why=$why$(left_in_debugfs)
	has_struck || :
	[ "$fault" != refused ] || refused=$((refused + 1))
}

# load_with_faults NAME REFUSED: at least so many fail
load_with_faults()
{
	mark
	why='' nth=1 struck=0 refused=0
	while [ -z "$why" ] && [ "$nth" -lt "$too_many" ]; do
		arm "init $1" "$nth"
		try_load "$1"
		[ "$fault" != spared ] || break
		struck=$((struck + 1))
		nth=$((nth + 1))
	done
	diag "$1: $struck allocations failed in turn, $refused loads with them"
	[ "$fault" = spared ] || why="$why the last one was $fault;"
	[ "$struck" -gt 0 ] || why="$why no fault has struck;"
	[ "$refused" -ge "$2" ] || why="$why only $refused were refused;"
	verdict "load_$1" "$why$(take_slice)"
}

# A large table does not come from one allocation: memory is short after so many pages.
load_with_few_pages()
{
	mark
	why='' pages=1 refused=0
	while [ -z "$why" ] && [ "$pages" -lt 4096 ]; do
		set_faults fail_page_alloc space="$pages" times=-1 task-filter=Y \
			ignore-gfp-highmem=N probability=100
		arm "init $1" 0
		try_load "$1"
		set_faults fail_page_alloc probability=0
		[ "$fault" = refused ] || break
		pages=$((pages + 64))
	done
	set_faults fail_page_alloc space=0 times=1 task-filter=N ignore-gfp-highmem=Y
	diag "$1: $refused loads failed with up to $pages pages"
	[ "$fault" = spared ] || why="$why the last one was $fault;"
	[ "$refused" -gt 2 ] || why="$why only $refused were refused;"
	verdict "load_$1_with_few_pages" "$why$(take_slice)"
}

load_with_faults pcpuref 3
mark
why=$(load pcpuref) || :
verdict load_pcpuref_then "$why$(take_slice)"
[ -z "$why" ] || finish
set_faults fail_pcpuref probability=0 verbose=0

# It does without events, and without files.
without_totals=0
load_with_faults pcpuref_watch 0
verdict watch_says_why_no_totals "$([ "$without_totals" -gt 0 ] || echo "it has never said so")"
load_with_faults pcpuref_holders 4
load_with_few_pages pcpuref_holders

mark
why=$(load pcpuref_watch stuck_secs=3600 && load pcpuref_holders && load pcpuref_test_faults) || :
verdict load_all_then "$why$(take_slice)"
[ -z "$why" ] || finish
parameters=/sys/module/pcpuref_test_faults/parameters

# --- References -----------------------------------------------------------------------

# The case says how many.
how_many()
{
	told=$(sed -n 's/.*pcpuref_test_faults: //p' "$tmp/slice" | tail -n 1)
	[ -z "$told" ] || diag "$told"
}

for case in init_first init_plain init_in_atomic_context init_nowait init_named init_atomic \
	init_dead init_reinit init_allow_zero init_may_linger init_release_work init_lazy \
	init_lazy_named init_lazy_release_work init_again requests_allocate_nothing \
	kref_allocates_nothing; do
	start_case "$case"
	how_many
	report_case ""
done

# shellcheck disable=SC2317 # called by soon()
references_are_there()
{
	slice | grep -q 'pcpuref_test_faults: requests_in_shortage: the references are there'
}

# Allocations of all tasks and interrupts fail, so many of them: the case is under way by
# then, and uses up what is left, since this shell needs memory as well.
set_faults failslab times=20000
(
	start_case requests_in_shortage
	how_many
	report_case ""
	echo "$tests $failures $marks" >"$tmp/shortage"
) &
case=$!
soon references_are_there || :
set_faults failslab probability=100
wait "$case" || :
set_faults failslab probability=0 times=1
if [ -s "$tmp/shortage" ]; then
	read -r tests failures marks <"$tmp/shortage"
else
	not_ok requests_in_shortage "it did not come to its end"
fi

# --- Counters for a lazy reference ------------------------------------------------------

# By the place that the core has for it, three times.
set_faults fail_pcpuref times=3 probability=100
start_case promotion
how_many
set_faults fail_pcpuref probability=0
against=
[ "$(cat $debugfs/fail_pcpuref/times)" -eq 0 ] || against="not all faults have struck;"
grep -q 'promotion: 3 attempts failed' "$tmp/slice" || against="$against not three attempts failed;"
report_case "$against"

set_faults fail_pcpuref times=-1 probability=100
start_case promotion_and_kill
set_faults fail_pcpuref probability=0 times=1
report_case ""

# While the only attempt that fails is under way: it is tried once more.
if uname -r | awk -F. '{ exit !($1 * 100 + $2 >= 602) }'; then
	set_faults fail_pcpuref times=1 probability=100 verbose=1
	start_case promotion_wanted_meanwhile
	set_faults fail_pcpuref probability=0 verbose=0
	report_case ""
else
	skip promotion_wanted_meanwhile "modules cannot use the tracepoint console before 6.2"
fi

# By what fails in turn in the work item.
mark
why='' nth=1 struck=0 failed=0
while [ "$nth" -lt "$too_many" ]; do
	arm "work run_in_task [pcpuref]" "$nth"
	start_case promotion
	[ "$result" = pass ] || break
	! grep -q 'promotion: 1 attempts failed' "$tmp/slice" || failed=$((failed + 1))
	has_struck || break
	struck=$((struck + 1))
	nth=$((nth + 1))
done
diag "promotion in turn: $struck allocations failed in turn, $failed attempts with them"
against=
[ "$struck" -gt 0 ] && [ "$failed" -gt 0 ] || against="no fault has struck;"
[ "$fault" = spared ] || against="$against the last one was $fault;"
name=promotion_in_turn
report_case "$against"

# --- Places for releases ------------------------------------------------------------------

# More of them than one pool has room for: there is no memory for another one, at first.
arm "work find_places [pcpuref]" 1
start_case release_places
against=
has_struck || against="no fault has struck: $fault"
report_case "$against"

# --- Holders ----------------------------------------------------------------------------

start_case tracked
how_many
against=
grep -q 'pcpuref_holders: [0-9]* tokens in all were not recorded' "$tmp/slice" ||
	against="the loss is not told;"
report_case "$against"

# The names of code that goes are kept in memory. What has borrowed does it from its init,
# which goes when that is over.
names_of_code_that_goes()
{
	mark
	why=$(load pcpuref_test_holders) || :
	lent=/sys/module/pcpuref_test_holders/parameters
	nth=1 struck=0 nameless=0
	while [ -z "$why" ] && [ "$nth" -lt "$too_many" ]; do
		mark
		for part in lend borrow lent_to_whom take_back; do
			if [ "$part" = borrow ]; then
				arm "live pcpuref_test_borrower" "$nth"
				why=$(load pcpuref_test_borrower && unload pcpuref_test_borrower) ||
					break
				continue
			fi
			echo "$part" >"$lent/run"
			read -r result why <"$lent/result"
			[ "$result" = pass ] || break 2
			why=
		done
		slice >"$tmp/slice"
		# Nobody else is named in place of what has gone.
		sed -n 's/.*pcpuref_holders: id=[0-9]* holder: //p' "$tmp/slice" >"$tmp/named"
		[ "$(grep -c . "$tmp/named")" -eq 2 ] || why="not two holders;"
		! grep -v '^borrow\|^(code that has gone' "$tmp/named" >"$tmp/innocent" ||
			why="$why accused: $(cat "$tmp/innocent")"
		! grep -q '(code that has gone' "$tmp/slice" || nameless=$((nameless + 1))
		why=$why$(warnings "$tmp/slice")
		has_struck || break
		struck=$((struck + 1))
		nth=$((nth + 1))
	done
	diag "names: $struck allocations failed in turn, $nameless times a name was missing"
	[ "$struck" -gt 0 ] && [ "$nameless" -gt 0 ] || why="$why no fault has struck;"
	[ "$fault" = spared ] || why="$why the last one was $fault;"
	why=$why$(unload pcpuref_test_holders) || :
	verdict names_of_code_that_goes "$why"
}

names_of_code_that_goes

# --- Watch ------------------------------------------------------------------------------

dir=$debugfs/pcpuref

# step CASE: what is wrong with it
step()
{
	echo "$1" >"$parameters/run"
	read -r result name why_not <"$parameters/result"
	[ "$result" = pass ] || echo "$name $why_not;"
}

look_now()
{
	echo 3600 >/sys/module/pcpuref_watch/parameters/stuck_secs
}

id_of_watched()
{
	awk '$2 == "&watched" { print $1 }' $dir/refs
}

# shellcheck disable=SC2317 # called by soon
gone()
{
	[ ! -e "$1" ]
}

# A reference comes, and the scan that finds it has no memory.
mark
why='' nth=1 struck=0 unseen=0 spared=0
while [ -z "$why" ] && [ "$nth" -lt "$too_many" ] && [ "$spared" -lt 2 ]; do
	arm "work sync_fn [pcpuref_watch]" "$nth"
	why=$(step watched_init)
	id=$(id_of_watched)
	[ -n "$id" ] || why="$why not in the table;"
	# A scan of the watchdog's may have come first: so twice.
	if has_struck; then
		struck=$((struck + 1))
		nth=$((nth + 1))
		spared=0
	else
		spared=$((spared + 1))
		[ "$fault" = spared ] || why="$why no scan has come: $fault;"
	fi
	[ -e "$dir/ref/$id" ] || unseen=$((unseen + 1))
	look_now
	soon test -e "$dir/ref/$id" || why="$why no file of $id after fault $nth;"
	soon grep -qs 'init mode=none' "$dir/ref/$id" || why="$why no history after fault $nth;"
	why=$why$(step watched_kill)$(step watched_put)
	soon gone "$dir/ref/$id" || why="$why the file of $id stays;"
done
diag "scan: $struck allocations failed in turn, $unseen times there was no file at first"
[ "$struck" -gt 0 ] && [ "$unseen" -gt 1 ] || why="$why no fault has struck;"
verdict scan "$why$(take_slice)"

# A reference is stuck, and there is no memory to tell kinds apart: once, then told. A
# look that came before the fault has its memory, and all is begun anew.
mark
why='' rounds=10
while [ -z "$why" ]; do
	why=$(step watched_init)
	id=$(id_of_watched)
	soon test -e "$dir/ref/$id" || why="$why no file;"
	why=$why$(step watched_kill)
	sleep 1.1
	arm "work watch_fn [pcpuref_watch]" 1
	echo 1 >/sys/module/pcpuref_watch/parameters/stuck_secs
	rounds=$((rounds - 1))
	if has_struck || [ "$rounds" -eq 0 ]; then
		break
	fi
	why=$why$(step watched_put)
	look_now
	soon gone "$dir/ref/$id" || why="$why the file of $id stays;"
done
if [ "$fault" = struck ]; then
	diag "stuck: 1 allocation failed"
else
	why="$why no fault has struck;"
fi
# shellcheck disable=SC2317 # called by soon
is_told()
{
	slice >"$tmp/slice"
	grep -q "$1" "$tmp/slice"
}
soon is_told 'pcpuref_watch: 1 more refs are stuck, of 0 more kinds' || why="$why it is not counted;"
soon is_told "pcpuref_watch: ref &watched (id $id) .*is stuck: killed" || why="$why it is not told;"
why=$why$(step watched_put)
look_now
verdict stuck "$why$(take_slice)"

# read_with_faults NAME FILE TEXT: the file, in which TEXT must be, or an error. The shell's
# read does not tell an error from the end, but no file is read in more than one piece: then
# there is nothing of it.
read_with_faults()
{
	mark
	why='' nth=1 struck=0 refused=0
	while [ "$nth" -lt "$too_many" ]; do
		rc=0
		(
			found=
			lines=
			exec 4<>/proc/self/fail-nth
			echo "$nth" >&4
			while read -r line; do
				lines=some
				case $line in
				*"$3"*) found=yes ;;
				esac
			done <"$2"
			read -r left <&4
			case ${left:-0}:$lines$found in
			0:) exit 73 ;;
			0:someyes) exit 72 ;;
			0:*) exit 74 ;;
			*yes) exit 0 ;;
			*) exit 71 ;;
			esac
		) 2>/dev/null || rc=$?
		case $rc in
		0) break ;;
		71)
			why="$why without a fault, '$3' is not there;"
			break
			;;
		74)
			why="$why of fault $nth nothing was said, but '$3' is not there;"
			break
			;;
		72) ;;
		# Or the shell itself has got no memory.
		*) refused=$((refused + 1)) ;;
		esac
		struck=$((struck + 1))
		nth=$((nth + 1))
	done
	diag "$1: $struck allocations failed in turn, $refused reads with them"
	[ "$rc" -eq 0 ] && [ "$struck" -gt 0 ] && [ "$refused" -gt 2 ] ||
		why="$why no fault has struck, or all have;"
	verdict "read_$1" "$why$(take_slice)"
}

why=$(step watched_init)
id=$(id_of_watched)
soon test -e "$dir/ref/$id" || why="$why no file;"
verdict a_file_is_there "$why"
read_with_faults refs $dir/refs '&watched'
read_with_faults stats $dir/stats 'inits'
read_with_faults ref "$dir/ref/$id" 'init mode='

# dump is written: to open it takes memory, to write none.
mark
why='' nth=1 struck=0
while [ "$nth" -lt "$too_many" ]; do
	rc=0
	(
		exec 4<>/proc/self/fail-nth
		echo "$nth" >&4
		echo "$id" >$dir/dump
		read -r left <&4
		[ "$left" -gt 0 ] || exit 2
	) 2>/dev/null || rc=$?
	[ "$rc" -ne 0 ] || break
	struck=$((struck + 1))
	nth=$((nth + 1))
done
diag "dump: $struck allocations failed in turn"
complaints=$(take_slice)
[ "$rc" -eq 0 ] && [ "$struck" -gt 0 ] || why="no fault has struck, or all have;"
grep -q "pcpuref: dump: id=$id " "$tmp/slice" || why="$why not dumped;"
why=$why$(step watched_kill)$(step watched_put)
verdict write_dump "$why$complaints"

# --- The end ----------------------------------------------------------------------------

mark
why=$(unload pcpuref_test_faults && unload pcpuref_watch && unload pcpuref_holders) || :
[ -n "$why" ] || verdict nothing_is_left "$(left_allocated)"
[ -n "$why" ] || why=$(unload pcpuref) || :
why=$why$(left_in_debugfs)
why=$why$(unload pcpuref_test_arm) || :
verdict unload "$why$(take_slice)"
finish
