#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# pcpuref_holders.ko: who leaks is named, and nobody else; tokens.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
echo "KTAP version 1"
for m in pcpuref_holders pcpuref_test_holders; do
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
says 'holder: leaky[.a-z0-9]*+.*outstanding=1 gets=100 puts=99 handed-over=0'
says 'of these 1 taken by task pcpuref_test/[0-9]'
judge

check healthy
only
says 'holder: none known by call site'
judge

check handed_over
only leaky
says 'holder: leaky[.a-z0-9]*+.*outstanding=1 gets=100 puts=99 handed-over=0'
judge

check handed_over_and_lost
only submit
says 'holder: submit+.*outstanding=1 gets=100 puts=99 handed-over=99'
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
says 'holder: from_irq+.*outstanding=100 gets=100 puts=0'
judge

check tokens
says 'token: taken [0-9]* ms ago by task pcpuref_test/[0-9]'
grep -q '^ *take_token+' "$tmp/slice" || against_me="$against_me not in the stack"
[ "$(grep -c 'token: taken' "$tmp/slice")" -eq 1 ] || against_me="$against_me not one token"
judge

check token_misuse
judge

check token_left_at_exit
says 'token: taken '
says 'holder: leaky[.a-z0-9]*+.*outstanding=1 gets=1 puts=0'
grep -q '^ *take_token+' "$tmp/slice" || against_me="$against_me not in the stack"
judge

check token_of_an_earlier_life
says 'token: taken '
[ "$(grep -c 'token: taken' "$tmp/slice")" -eq 1 ] || against_me="$against_me not one token"
judge

check cost
diag "$(grep 'a pair takes ' "$tmp/slice" || :)"
judge

mark
why=
! rmmod pcpuref_holders 2>/dev/null || why="unloaded under its client"
verdict in_use "$why$(take_slice)"

# A store of one site for each of its 32 parts.
mark
why=$(unload pcpuref_test_holders && unload pcpuref_holders) || :
[ -n "$why" ] || why=$(load pcpuref_holders max_sites=32 && load pcpuref_test_holders) || :
verdict small_store "$why$(take_slice)"
check leak_among_many
grep -q 'gets not accounted: raise max_sites' "$tmp/slice" ||
	against_me="the loss is not told"
name=loss_is_told
judge

mark
why=$(unload pcpuref_test_holders && unload pcpuref_holders && unload pcpuref) || :
verdict unload "$why$(take_slice)"
finish
