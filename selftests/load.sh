#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The core by itself: it loads and unloads, says so in one line, is quiet by
# default, and shows each state change in one line of always the same shape.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_states
control=/sys/kernel/debug/dynamic_debug/control
[ -w "$control" ] || control=/proc/dynamic_debug/control

# An event line, without what stands before "event=".
number='-\{0,1\}[0-9][0-9]*'
mode='\(none\|atomic\|percpu\|switching\)'
shape="^pcpuref: event=[a-z]* name=&o->ref id=[0-9]* ref=[0-9a-fx(][0-9a-z_()]* "
shape="${shape}release=release \[pcpuref_test_states\] mode=$mode->$mode "
shape="${shape}count=$number shared=$number percpu=$number since_kill=${number}us\$"

event_lines()
{
	grep '^pcpuref: event=' "$tmp/slice" || :
}

# The life that the case "events" leads. When the switches end in between is
# up to the grace periods.
life_led="init kill confirm resurrect kill release reinit kill release exit"

# events_told NAME: the case "events" is told in full.
events_told()
{
	start_case events
	event_lines >"$tmp/events"
	badly_shaped=$(grep -v "$shape" "$tmp/events" || :)
	missing=
	for e in init switch kill confirm release reinit resurrect exit; do
		grep -q "^pcpuref: event=$e " "$tmp/events" || missing="$missing $e"
	done
	life=$(sed -n 's/^pcpuref: event=\([a-z]*\) .*/\1/p' "$tmp/events" |
		grep -v switch | tr '\n' ' ')
	[ "$result" = pass ] || why="the case itself: $why"
	[ -z "$missing" ] || why="$why no line for:$missing"
	[ -z "$badly_shaped" ] || why="$why of another shape: $badly_shaped"
	[ "${life% }" = "$life_led" ] || why="$why not the life that was led: $life"
	verdict "$1" "$why$complaints"
}

# Before a kill since_kill is -1. After it a time, which a reinit or resurrect ends.
since_kill_told()
{
	why=
	grep '^pcpuref: event=init ' "$tmp/events" | grep -q 'since_kill=-1us$' || why="$why init"
	for e in confirm release reinit resurrect; do
		grep "^pcpuref: event=$e " "$tmp/events" |
			grep -q 'since_kill=[0-9]*us$' || why="$why $e"
	done
	verdict since_kill "${why:+wrong in:$why}"
}

# --- Quiet by default ---

quiet()
{
	start_case events
	[ "$result" = pass ] || complaints="$complaints $why"
	verdict "$1" "$complaints$(event_lines)"
}

quiet quiet_by_default

# --- The parameter ---

echo 1 >/sys/module/pcpuref/parameters/trace_events
events_told trace_events
since_kill_told
echo 0 >/sys/module/pcpuref/parameters/trace_events
quiet trace_events_off

# --- Dynamic debug ---

if [ -w "$control" ] && grep -q '\[pcpuref\]' "$control"; then
	echo "module pcpuref +p" >"$control"
	events_told dynamic_debug
	echo "module pcpuref -p" >"$control"
	quiet dynamic_debug_off
else
	skip dynamic_debug "this kernel has none"
fi

# --- In use ---

mark
why=
if rmmod pcpuref 2>/dev/null || ! loaded pcpuref; then
	why="the core was unloaded under its client"
fi
verdict not_unloaded_in_use "$why$(take_slice)"

mark
why=$(unload pcpuref_test_states && unload pcpuref) || :
verdict unload "$why$(take_slice)"

# --- In and out ---

mark
why=
round=0
while [ "$round" -lt 20 ] && [ -z "$why" ]; do
	mark
	why=$(load pcpuref) || break
	slice >"$tmp/slice" || why="the kernel's log is too small"
	# What the kernel has to say about an unsigned module is not ours.
	lines=$(grep '^pcpuref: ' "$tmp/slice" |
		grep -v -e 'loading out-of-tree module' \
			-e 'module verification failed') || :
	version=$(cat /sys/module/pcpuref/version)
	[ "$lines" = "pcpuref: version $version" ] ||
		why="loading said: $lines"
	printf '%s\n' "$version" | grep -Eq '^[0-9]+\.[0-9]+\.[0-9]+(-dev)?$' ||
		why="no version: $version"
	mark
	unloading=$(unload pcpuref) || why=$unloading
	slice >"$tmp/slice" || why="the kernel's log is too small"
	lines=$(grep '^pcpuref' "$tmp/slice" || :)
	[ -z "$lines" ] || why="unloading said: $lines"
	loaded pcpuref && why="still there after unloading"
	round=$((round + 1))
done
verdict load_and_unload_20_times "$why$(warnings "$tmp/slice")"

# With the events on from the start.
mark
why=$(load pcpuref trace_events=1 && load pcpuref_test_states) || :
if [ -z "$why" ]; then
	events_told trace_events_when_loading
	unload_all
else
	not_ok trace_events_when_loading "$why"
fi

finish
