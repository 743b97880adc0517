#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# pcpuref_holders.ko: who leaks is named, and nobody else; tokens.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
echo "KTAP version 1"
for m in pcpuref_holders pcpuref_test_holders pcpuref_test_borrower; do
	module_path "$m" >/dev/null || skip_all "no $m.ko; set MODDIR"
done
begin_without_modules
if ! why=$(load pcpuref && load pcpuref_holders && load pcpuref_test_holders); then
	not_ok load "$why"
	finish
fi
parameters=/sys/module/pcpuref_test_holders/parameters

# says PATTERN: a line of the slice must match
says()
{
	grep -q "pcpuref_holders: id=[0-9]* *$1" "$tmp/slice" ||
		against_me="$against_me no line: $1;"
}

# only NAME...: call sites of these functions, and no others, are named
only()
{
	sed -n 's/.*pcpuref_holders: id=[0-9]* holder: \([a-z_]*\)[.a-z0-9]*+.*/\1/p' "$tmp/slice" |
		sort -u | tr '\n' ' ' >"$tmp/named"
	[ "$(cat "$tmp/named")" = "$*${1:+ }" ] ||
		against_me="$against_me named are: $(cat "$tmp/named"), not: $*;"
}

# one_of NAME...: a line says that it is one of the call sites of these functions
one_of()
{
	sed -n 's/.*pcpuref_holders: id=[0-9]*   perhaps \([a-z_]*\)[.a-z0-9]*+.*/\1/p' "$tmp/slice" |
		sort -u | tr '\n' ' ' >"$tmp/perhaps"
	[ "$(cat "$tmp/perhaps")" = "$*${1:+ }" ] ||
		against_me="$against_me perhaps: $(cat "$tmp/perhaps"), not: $*;"
}

# one_or_one_of NAME OTHER: the first holds one; or it is said that one of the two does
one_or_one_of()
{
	says 'holder: .*outstanding=1 \|holder: one of 2 places, outstanding=1 in all'
	if grep -q 'holder: one of' "$tmp/slice"; then
		only
		one_of "$@"
	else
		only "$1"
	fi
}

# Whether what the dump says agrees with the lines "truth: FUNCTION HOW-MANY": what is
# said to be out at one place or at one of several, is really out there, and as many.
true_to_the_last()
{
	sed -n 's/.*truth: //p; s/.*pcpuref_holders: id=[0-9]* *//p' "$tmp/slice" | awk '
		function check(	total, n, i) {
			for (i in set) {
				total += truth[i]
				seen[i] = 1
				n++
			}
			if (n && total != out)
				print "said is " out " at" names ", true is " total ";"
			split("", set)
			names = ""
		}
		function name(s) {
			sub(/[+.].*/, "", s)
			set[s] = 1
			names = names " " s
		}
		/^soak_get_/ { truth[$1] = $2; left += $2 }
		/^holder: / || /without a known get/ { check() }
		/^holder: none/ { none = 1; next }
		/^holder: / {
			out = $0
			sub(/.*outstanding=/, "", out)
			out += 0
			lines++
		}
		/^holder: one of/ { next }
		/^holder: / { name($2) }
		/^perhaps / { name($2) }
		/without a known get/ { print }
		/the list is not complete|could not be/ { print }
		END {
			check()
			for (i in truth)
				if (truth[i] && !(i in seen))
					print i " has " truth[i] " and is not named;"
			if (left && none || !left && !none)
				print "left are " left ", and none is said: " none
		}'
}

# check CASE: run it; then what follows judges
check()
{
	start_case "$1"
	against_me=
}

judge()
{
	report_case "$against_me"
}

check leak_among_many
only leaky
says 'holder: leaky[.a-z0-9]*+.*outstanding=1 '
says 'of these 1 taken by task pcpuref_test/[0-9]'
judge

check healthy
only
says 'holder: none known by call site'
judge

check handed_over
only leaky
says 'holder: leaky[.a-z0-9]*+.*outstanding=1 '
judge

check handed_over_and_lost
only submit
says 'holder: submit+.*outstanding=1 '
judge

# 9 of try_all and 5 of all_kinds; 14 are put, the latest first.
check all_kinds
only
[ "$(grep -c 'holder: none known' "$tmp/slice")" -eq 2 ] || against_me="not two dumps with none"
! grep -q "without a known get" "$tmp/slice" || against_me="$against_me puts unknown"
judge

check scopes
[ "$result" = skip ] || { only && says 'holder: none known'; }
judge

check interrupts
only from_irq
says 'holder: from_irq+.*outstanding=100 '
judge

# The task that is interrupted has one of its own, and no other is in its name.
check interrupts_take
only held_by_the_task take_in_hardirq take_in_softirq
for f in held_by_the_task take_in_hardirq take_in_softirq; do
	says "holder: $f+.*outstanding=1 "
done
says 'of these 1 taken by task pcpuref_test/[0-9]'
[ "$(grep -c 'taken by task' "$tmp/slice")" -eq 1 ] ||
	against_me="$against_me an interrupt's is in the name of a task;"
judge

# What an interrupt puts is not for that one of the task's.
check interrupt_puts
only
one_of held_by_the_task take_to_put
says 'holder: one of 2 places, outstanding=1 in all'
judge

check leak_beside_a_crowd
only forgets
says 'holder: forgets[.a-z0-9]*+.*outstanding=1 '
judge

check leak_in_a_crowd
only forgets
says 'holder: forgets[.a-z0-9]*+.*outstanding=1 '
judge

check inner_leaks
only inner
says 'holder: inner[.a-z0-9]*+.*outstanding=1 '
judge

# The same with functions that get and functions that put.
check wrapped_inner_leaks
only
one_of wrapped_get_inner wrapped_get_outer
says 'holder: one of 2 places, outstanding=1 in all'
judge

check wrapped_inner_leaks_once_alone
only wrapped_get_inner
says 'holder: wrapped_get_inner[.a-z0-9]*+.*outstanding=1 '
judge

check helper_of_two
only look_up
says 'holder: look_up[.a-z0-9]*+.*outstanding=1 '
says 'called by forgetful[.a-z0-9]*+'
! grep -q 'called by careful' "$tmp/slice" || against_me="$against_me careful is accused;"
judge

# Told while the other task holds, and when nobody does.
check either_or
only either
says 'holder: either[.a-z0-9]*+.*outstanding=1 '
[ "$(grep -c 'holder: ' "$tmp/slice")" -eq 2 ] || against_me="$against_me not one holder, then none;"
says 'holder: none known by call site'
! grep -q 'without a known get' "$tmp/slice" || against_me="$against_me puts unknown;"
judge

# Two that submit and one that completes: before it is known that it does for both.
check one_lost_then_other
one_or_one_of submit submit_other
judge

check first_one_then_other
only
says 'holder: none known by call site'
! grep -q 'without a known get' "$tmp/slice" || against_me="$against_me puts unknown;"
judge

check first_failure
one_or_one_of command submit_or_fail
judge

check inlined_helper
only forgetful_work
says 'holder: forgetful_work[.a-z0-9]*+.*outstanding=1 '
judge

# The site is told with the report.
check put_twice
says '1 puts without a known get: puts_twice[.a-z0-9]*+.* \[pcpuref_test_holders\]'
[ "$(grep -c 'without a known get' "$tmp/slice")" -eq 1 ] || against_me="$against_me not one line;"
! grep -q 'holder: ' "$tmp/slice" || against_me="$against_me holders are told;"
judge

check initial_put
only forgets
says 'holder: forgets[.a-z0-9]*+.*outstanding=1 '
says '1 puts without a known get: put_initial'
judge

# What took them has gone, and something else lies there. (The loader knows the init function of a
# module by another name, too.)
check lend
judge
mark
why=$(load pcpuref_test_borrower && unload pcpuref_test_borrower &&
	load pcpuref_test_kref) || :
verdict borrow_and_go "$why$(take_slice)"
check lent_to_whom
only borrow borrow_early
says 'holder: borrow+0x[0-9a-f/x]* \[pcpuref_test_borrower\] outstanding=1 '
says 'called by \(borrower_init\|init_module\)+0x[0-9a-f/x]* \[pcpuref_test_borrower\]'
judge
check take_back
judge
mark
verdict kept_names_take_no_room "$(unload pcpuref_test_kref)$(take_slice)"

check many_tasks
only forgets leaky
[ "$(grep -c 'holder: .*outstanding=1 ' "$tmp/slice")" -eq 8 ] ||
	against_me="$against_me not two of each;"
! grep -q 'could not be accounted' "$tmp/slice" || against_me="$against_me some are lost;"
judge

# Every site named is one that leaks, or is said to be one of several with one that does.
# What is learned in the mixed ones about a place that puts two kinds stays.
for kind in soak_own_leaks soak soak_that_leaks; do
	for seed in ${SOAK_SEEDS:-$(seq 8)}; do
		echo "$seed" >"$parameters/soak_seed"
		check "$kind"
		name=${kind}_$seed
		against_me=$(true_to_the_last)
		judge
	done
done

check tokens
says 'token: taken [0-9]* ms ago by task pcpuref_test/[0-9]'
grep -q '^ *take_token+' "$tmp/slice" || against_me="$against_me not in the stack"
[ "$(grep -c 'token: taken' "$tmp/slice")" -eq 1 ] || against_me="$against_me not one token"
judge

check token_misuse
judge

check token_left_at_exit
says 'token: taken '
says 'holder: leaky[.a-z0-9]*+.*outstanding=1 '
grep -q '^ *take_token+' "$tmp/slice" || against_me="$against_me not in the stack"
judge

check token_of_an_earlier_life
says 'token: taken '
[ "$(grep -c 'token: taken' "$tmp/slice")" -eq 1 ] || against_me="$against_me not one token"
judge

check init_is_told_first
judge

# That it is freed, kmemleak tells: see scripts/debug-check.sh.
check token_lost_for_good
says 'token: taken '
judge

check cost
diag "$(grep -o 'a pair takes .*\|on two CPUs .*' "$tmp/slice" || :)"
judge

mark
why=
! rmmod pcpuref_holders 2>/dev/null || why="unloaded under its client"
verdict in_use "$why$(take_slice)"

# A store for eight tasks in all.
mark
why=$(unload pcpuref_test_holders && unload pcpuref_holders) || :
[ -n "$why" ] || why=$(load pcpuref_holders max_holders=8 && load pcpuref_test_holders) || :
verdict small_store "$why$(take_slice)"
check many_tasks
grep -q 'gets and puts in all could not be accounted, .*: raise max_holders' "$tmp/slice" ||
	against_me="the loss is not told"
name=loss_is_told
judge

mark
why=$(unload pcpuref_test_holders && unload pcpuref_holders && unload pcpuref) || :
verdict unload "$why$(take_slice)"
finish
