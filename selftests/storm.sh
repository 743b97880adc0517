#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Storms from every context, last puts in each, and CPUs that come and go.
# SECONDS_EACH says how long a storm blows.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_storm seconds="${SECONDS_EACH:-5}"

run_case storm_G1_G2_G3_F1_F3_F6
echo 3 >"$parameters/seconds"
run_case storm_work_G1_G2_G3
run_case storm_lookup_U2_F10_G8
run_case storm_exit_G17
run_case last_put_irq_G1
run_case last_put_softirq_G1
run_case last_put_nmi_G1
run_case resurrect_before_put_tells_F12

# --- CPU hotplug ---

cpu=
for c in /sys/devices/system/cpu/cpu[0-9]*; do
	if [ -w "$c/online" ] && [ "$(cat "$c/online")" = 1 ] &&
		[ "${c##*/cpu}" -gt "${cpu:-0}" ]; then
		cpu=${c##*/cpu}
	fi
done
online=/sys/devices/system/cpu/cpu$cpu/online

if [ -z "$cpu" ]; then
	skip hotplug_hold "no CPU can be taken offline"
	skip hotplug_kill "no CPU can be taken offline"
	skip hotplug_late "no CPU can be taken offline"
	skip hotplug_storm "no CPU can be taken offline"
else
	# The counter of a CPU that is gone is part of the sum (G13).
	run_case hotplug_hold
	if echo 0 >"$online" 2>"$tmp/hotplug"; then
		run_case hotplug_kill
		echo 1 >"$online"
	else
		not_ok hotplug_kill "$(cat "$tmp/hotplug")"
	fi

	# Nor is one left out that was not there when the core was loaded.
	if why=$(echo 0 >"$online" && unload pcpuref_test_storm && unload pcpuref &&
		load pcpuref && load pcpuref_test_storm seconds=3 && echo 1 >"$online"); then
		all=
		for half in hold kill; do
			start_case "hotplug_$half"
			all=$all$complaints
			[ "$result" = pass ] || break
			echo 0 >"$online"
		done
		[ "$result" = pass ] || all="hotplug_$half: $why $all"
		verdict hotplug_late "$all"
	else
		not_ok hotplug_late "$why"
	fi
	echo 1 >"$online"

	# In the middle of a storm.
	(
		while [ ! -e "$tmp/over" ]; do
			echo 0 >"$online" || exit 1
			sleep 0.3
			echo 1 >"$online" || exit 1
			sleep 0.3
			echo >>"$tmp/rounds"
		done
	) 2>"$tmp/hotplug" &
	hotplug=$!
	start_case storm_G1_G2_G3_F1_F3_F6
	: >"$tmp/over"
	complaint=
	wait "$hotplug" || complaint=$(cat "$tmp/hotplug")
	[ -s "$tmp/rounds" ] || complaint="$complaint no CPU came or went"
	name=hotplug_storm
	report_case "$complaint"
fi

end pcpuref_test_storm
