#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The tracepoints pcpuref:*, read through tracefs: each step shows, with what it
# should carry, and says the same as the line in the log.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_watch
tracing=/sys/kernel/tracing
[ -d "$tracing/events" ] || tracing=/sys/kernel/debug/tracing
events=$tracing/events/pcpuref
steps="init switch kill confirm release reinit resurrect exit misuse dump"

if [ ! -d "$tracing/events" ]; then
	skip tracepoints "no tracefs"
	end pcpuref_test_watch
fi

tell()
{
	echo "$*" >"$parameters/run"
}

# The lines of one step, in the trace.
traced()
{
	grep "pcpuref_$1: " "$tmp/trace" || :
}

missing=
for step in $steps; do
	[ -d "$events/pcpuref_$step" ] || missing="$missing $step"
done
verdict tracepoints_exist "${missing:+missing:$missing}"

# Off by default: what nobody asks for is not recorded.
echo >"$tracing/trace"
tell init 7
tell wait 7
tell exit 7
sleep 0.2
grep "pcpuref_" "$tracing/trace" >"$tmp/trace" || :
verdict quiet_by_default "$(cat "$tmp/trace")"

# By default tracing also learns the names of tasks, at tracepoints of the scheduler. To turn
# those on patches code that all CPUs run: emulated CPUs now and then die of that.
names=$(cat "$tracing/options/record-cmd")
echo 0 >"$tracing/options/record-cmd"

mark
echo 1 >/sys/module/pcpuref/parameters/trace_events
echo 1 >"$events/enable"
echo >"$tracing/trace"
tell init 1
tell get 1
tell atomic 1
tell percpu 1
tell confirm 1
soon grep -q 'pcpuref_confirm: ' "$tracing/trace" || :
sleep 0.1
tell resurrect 1
sleep 0.1
echo "pcpuref-expect: misuse: resurrect of a live reference: name=watched" >/dev/kmsg
tell resurrect 1 2>/dev/null || :
tell id 1
id=$(cat "$parameters/id")
tell dump 1
tell kill 1
tell put 1
soon grep -q 'pcpuref_release: ' "$tracing/trace" || :
sleep 0.1
tell reinit 1
tell wait 1
tell exit 1
echo 0 >"$events/enable"
echo 0 >/sys/module/pcpuref/parameters/trace_events
grep 'pcpuref_[a-z]*: event=' "$tracing/trace" >"$tmp/trace" || :
complaints=$(take_slice)

missing=
for step in $steps; do
	[ -n "$(traced "$step")" ] || missing="$missing $step"
done
verdict every_step_is_traced "${missing:+missing:$missing}$complaints"

wrong=$(grep -v " id=$id " "$tmp/trace" || :)
verdict one_id_throughout "$wrong"

number='-\{0,1\}[0-9][0-9]*'
shape="event=[a-z ]* name=watched module=pcpuref_test_watch id=$number ref=[0-9a-fx(][0-9a-z_()]*"
shape="$shape release=watched_release \[pcpuref_test_watch\] mode=[a-z]*->[a-z]*"
shape="$shape count=$number shared=$number percpu=$number since_kill=${number}us caller=.*\$"
verdict shape "$(grep -v "pcpuref_[a-z]*: $shape" "$tmp/trace" || :)"

why=
traced init | grep -q 'mode=none->percpu count=1 shared=1 percpu=0 since_kill=-1us caller=do_init' ||
	why="init"
traced kill | grep -q 'caller=do_kill' || why="$why kill"
traced confirm | grep -q 'count=2 ' || why="$why confirm"
traced misuse | grep -q 'event=resurrect of a live reference .* caller=do_resurrect.* finder=0x0' ||
	why="$why misuse"
traced exit | grep -q 'mode=atomic->none .* since_kill=[0-9]*us caller=do_exit_ref' ||
	why="$why exit"
verdict fields "${why:+wrong in: $why
$(cat "$tmp/trace")}"

# Both come from one place: but for module, caller and ref they are the same.
sed -n 's/.*pcpuref_\(misuse\|dump\): .*//; s/.*pcpuref_[a-z]*: \(event=.*\)$/\1/p' "$tmp/trace" |
	sed 's/ module=[^ ]*//; s/ caller=.*//; s/ ref=[^ ]*//' >"$tmp/from_trace"
sed -n 's/^pcpuref: \(event=.*\)$/\1/p' "$tmp/slice" | sed 's/ ref=[^ ]*//' >"$tmp/from_log"
why=
[ -s "$tmp/from_log" ] || why="no lines in the log"
cmp -s "$tmp/from_trace" "$tmp/from_log" || why="$why$(diff "$tmp/from_trace" "$tmp/from_log" || :)"
verdict log_and_trace_agree "$why"

# Of a put too many in per-CPU mode nobody knows the caller. Who asked for the kill or the
# switch at which it is found need not be wrong: that is the finder.
for verb in kill atomic; do
	mark
	echo >"$tracing/trace"
	echo 1 >"$events/pcpuref_misuse/enable"
	echo "pcpuref-expect: misuse: put without a reference: name=watched" >/dev/kmsg
	tell init 2
	tell put 2
	tell "$verb" 2 2>/dev/null || :
	soon grep -q 'pcpuref_misuse: ' "$tracing/trace" || :
	grep 'pcpuref_misuse: ' "$tracing/trace" >"$tmp/trace" || :
	echo 0 >"$events/pcpuref_misuse/enable"
	tell exit 2
	complaints=$(take_slice)
	why=
	traced misuse | grep -q "event=put without a reference .* caller=0x0 finder=do_$verb+0x" ||
		why="traced is: $(cat "$tmp/trace") "
	verdict "who_has_it_found_by_${verb}_is_not_the_caller" "$why$complaints"
done

echo "$names" >"$tracing/options/record-cmd"
end pcpuref_test_watch
