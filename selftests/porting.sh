#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The drivers of samples/porting, before and after each step of a port
# (Documentation/porting.rst). All stages of one are asked for the same, and must
# answer the same; which count a stage has is looked up in its module and in the core.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
echo "KTAP version 1"
for m in porting_percpu_ref porting_shim porting_shim_kref; do
	module_path "$m" >/dev/null || skip_all "no $m.ko; set MODDIR"
done
begin_without_modules
if ! why=$(load pcpuref); then
	not_ok load "$why"
	finish
fi

# What a module without a line of pcpuref calls; the rest of kref is inline.
kernels='percpu_ref_(init|exit|kill_and_confirm|reinit|is_zero|switch_to_[a-z_]*)'
kernels="$kernels|refcount_warn_saturate"

# ask "WHAT NUMBER": prints it, and what the driver says
ask()
{
	if echo "$1" >"$parameters/run" 2>"$tmp/run"; then
		echo "$1: $(cat "$parameters/result")"
	else
		echo "$1: $(cat "$tmp/run")"
	fi
}

# freed NUMBER: so many connections have been freed, in a while
freed()
{
	tries=100
	while read -r so_far <"$parameters/freed" && [ "$so_far" -lt "$1" ] &&
		[ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	echo "freed: $so_far"
}

# counted NUMBER: the core has so many more structures than before this stage, in a while
counted()
{
	tries=100
	while read -r structures _ </sys/module/pcpuref/parameters/allocated &&
		[ "$structures" -ne $((before + $1)) ] && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	[ "$structures" -eq $((before + $1)) ] ||
		echo "the core has $((structures - before)) references of it, not $1; "
}

# compare FILE: with stdin, which is what is expected
compare()
{
	cat >"$tmp/expected"
	diff -u "$tmp/expected" "$1" >"$tmp/diff" ||
		echo "expected (-), got (+): $(sed '/^---/d; /^+++/d; /^@@/d' "$tmp/diff")"
}

# begin_stage MODULE
begin_stage()
{
	stage=$1
	parameters=/sys/module/$1/parameters
	read -r before _ </sys/module/pcpuref/parameters/allocated
	mark
	why=$(load "$@") || :
	if [ -n "$why" ]; then
		verdict "${stage}_load" "$why$(take_slice)"
		return 1
	fi
}

# whose kernel|pcpuref: the count that this stage has
whose()
{
	why=
	calls=$(tr '\000' '\n' <"$(module_path "$stage")" | grep -xE "$kernels" | sort -u |
		tr '\n' ' ')
	if [ "$1" = kernel ]; then
		[ ! -e "/sys/module/pcpuref/holders/$stage" ] || why="it uses pcpuref"
		[ -n "$calls" ] || why="$why it does not call the kernel's functions"
	else
		[ -e "/sys/module/pcpuref/holders/$stage" ] || why="it does not use pcpuref"
		[ -z "$calls" ] || why="$why it calls $calls"
	fi
	verdict "${stage}_counts_by_$1" "$why"
}

# A module says how many it has opened and freed.
balanced()
{
	slice | sed -n "s/^$stage: \([0-9]*\) opened, \([0-9]*\) freed\$/\1 \2/p" >"$tmp/said"
	read -r n_opened n_freed <"$tmp/said" || {
		echo "it does not say what it has freed; "
		return
	}
	[ "$n_opened" -gt 0 ] && [ "$n_opened" -eq "$n_freed" ] ||
		echo "of $n_opened connections $n_freed were freed; "
}

# connections MODULE kernel|pcpuref REFERENCES [freeze]: with two connections the core
# has as many REFERENCES.
connections()
{
	begin_stage "$1" || return 0
	whose "$2"

	# A connection that is held outlives its end; others can have its number.
	{
		ask "hold 1"
		ask "open 1"
		ask "open 2"
	} >"$tmp/got"
	why=$(counted "$3")
	{
		ask "open 1"
		ask "hold 1"
		ask "hold 1"
		ask "close 1"
		ask "hold 1"
		ask "close 1"
		ask "open 1"
		ask "drop 1"
		sleep 0.3
		freed 0
		ask "drop 1"
		freed 1
		ask "drop 1"
		ask "hold 1"
		ask "close 2"
		freed 2
	} >>"$tmp/got"
	verdict "${stage}_lookups" "$why$(compare "$tmp/got" <<-'END'
		hold 1: -2
		open 1: 0
		open 2: 0
		open 1: -17
		hold 1: 0
		hold 1: 0
		close 1: 0
		hold 1: -2
		close 1: -2
		open 1: 0
		drop 1: 0
		freed: 0
		drop 1: 0
		freed: 1
		drop 1: -2
		hold 1: 0
		close 2: 0
		freed: 2
	END
	)"

	if [ "${4:-}" = freeze ]; then
		{
			ask "freeze 0"
			ask "freeze 0"
			ask "hold 1"
			ask "open 3"
			ask "thaw 0"
			ask "thaw 0"
			ask "hold 1"
			ask "freeze 0"
		} >"$tmp/got"
		verdict "${stage}_freeze" "$(compare "$tmp/got" <<-'END'
			freeze 0: 0
			freeze 0: -114
			hold 1: -16
			open 3: -16
			thaw 0: 0
			thaw 0: -114
			hold 1: 0
			freeze 0: 0
		END
		)"
		ask "thaw 0" >"$tmp/got"
	fi

	ask "storm ${STORM_MS:-1000}" >"$tmp/got"
	verdict "${stage}_storm" "$(compare "$tmp/got" <<-END
		storm ${STORM_MS:-1000}: 0
	END
	)"

	# It goes with open connections, one of them held, and frozen if it can be.
	{
		ask "open 4"
		ask "open 5"
		ask "close 5"
		[ "${4:-}" != freeze ] || ask "freeze 0"
	} >"$tmp/got"
	why=$(unload "$stage") || :
	[ -n "$why" ] || why=$(balanced)$(counted 0)
	verdict "${stage}_unload" "$why$(take_slice)"
}

# usage MODULE kernel|pcpuref
usage()
{
	begin_stage "$1" || return 0
	whose "$2"
	[ "$2" = kernel ] && why=$(counted 0) || why=$(counted 1)
	{
		ask "idle 0"
		ask "begin 0"
		ask "begin 0"
		ask "idle 0"
		ask "end 0"
		ask "idle 0"
		ask "end 0"
		ask "idle 0"
		ask "begin 0"
		ask "idle 0"
		ask "end 0"
		ask "idle 0"
	} >"$tmp/got"
	verdict "${stage}_idle" "$why$(compare "$tmp/got" <<-'END'
		idle 0: 1
		begin 0: 0
		begin 0: 0
		idle 0: 0
		end 0: 0
		idle 0: 0
		end 0: 0
		idle 0: 1
		begin 0: 0
		idle 0: 0
		end 0: 0
		idle 0: 1
	END
	)"
	why=$(unload "$stage") || :
	[ -n "$why" ] || why=$(counted 0)
	verdict "${stage}_unload" "$why$(take_slice)"
}

# From percpu_ref: one reference for the table, one for each connection.
connections porting_percpu_ref kernel 0 freeze
connections porting_shim pcpuref 3 freeze
connections porting_pcpuref pcpuref 3 freeze

# From kref and from refcount_t: the small count is nothing that the core knows of.
connections porting_kref kernel 0
connections porting_shim_kref pcpuref 0
connections porting_refcount kernel 0
connections porting_pcpuref_kref pcpuref 0
connections porting_hot pcpuref 2

# The initial reference is put without a kill.
usage porting_usage kernel
usage porting_shim_usage pcpuref
usage porting_usage_pcpuref pcpuref

# Without PCPUREF_COMPAT_ALLOW_ZERO that is reported, at the first switch.
if begin_stage porting_shim_strict; then
	echo "pcpuref-expect: put without a reference: name=&writes" >/dev/kmsg
	ask "idle 0" >"$tmp/got"
	why=$(unload "$stage") || :
	complaints=$(take_slice)
	grep -q 'misuse: put without a reference: name=&writes .*found at the switch by ' \
		"$tmp/slice" || why="$why it is not reported"
	verdict "${stage}_is_reported" "$why$complaints"
fi

# has_flags NAME FLAGS: what the dump says of the reference
has_flags()
{
	id=$(sed -n "s/.*pcpuref: dump: id=\([0-9]*\) name=$1 module=$stage .*/\1/p" "$tmp/slice")
	grep -q "pcpuref: dump: id=$id initialised .* flags=$2 " "$tmp/slice" ||
		echo "$1 does not have flags=$2: $(grep "dump: id=$id initialised" "$tmp/slice")"
}

# With PCPUREF_DEBUG the holder has a name. With PCPUREF_COMPAT_MAY_LINGER a reference
# has the flag, and no other has it.
if module_path pcpuref_watch >/dev/null && module_path pcpuref_holders >/dev/null; then
	why=$(load pcpuref_watch && load pcpuref_holders) || :
	[ -d /sys/kernel/debug/pcpuref ] ||
		mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || :
	if [ -n "$why" ]; then
		not_ok porting_shim_debug_names_the_holder "$why"
	elif begin_stage porting_shim_debug; then
		{
			ask "open 1"
			ask "hold 1"
			ask "close 1"
		} >"$tmp/got"
		echo all >/sys/kernel/debug/pcpuref/dump || why="no dump"
		slice >"$tmp/slice" || why="$why no log"
		grep -q 'holder: conn_find[.a-z0-9]*+.* \[porting_shim_debug\] outstanding=1 ' \
			"$tmp/slice" || why="$why not named"
		lingers=$(has_flags '&users' 0x44)$(has_flags '&conn->ref' 0x0)
		ask "drop 1" >"$tmp/got"
		more=$(unload "$stage") || :
		verdict "${stage}_names_the_holder" "$why$more$(take_slice)"
		verdict "${stage}_may_linger" "$lingers"
	fi
	mark
	why=$(unload pcpuref_holders && unload pcpuref_watch) || :
	verdict unload_watch_and_holders "$why$(take_slice)"
else
	skip porting_shim_debug_names_the_holder "no pcpuref_watch.ko or no pcpuref_holders.ko"
fi

mark
verdict nothing_is_left "$(left_allocated)"
why=$(unload pcpuref) || :
verdict unload "$why$(take_slice)"
finish
