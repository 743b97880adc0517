#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A client, and right after it the core, are unloaded while callbacks are on
# their way (G14): in per-CPU and in atomic mode, from a workqueue, recorded
# behind a switch, overtaken by a resurrect, deferred from NMI, and dropped by
# exit. See test_modules/pcpuref_test_unload.c. And the core is unloaded while RCU
# has not yet called what frees its structures, see test_modules/pcpuref_test_delay.c.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
echo "KTAP version 1"
module_path pcpuref_test_unload >/dev/null || skip_all "no pcpuref_test_unload.ko; set MODDIR"
begin_without_modules

for mode in percpu atomic work recorded overtaken nmi exit; do
	why=
	skipped=
	round=0
	mark
	while [ "$round" -lt 5 ] && [ -z "$why" ]; do
		why=$(load pcpuref) || break
		if ! why=$(load pcpuref_test_unload mode=$mode); then
			case $why in
			*[Nn]ot\ supported*) skipped="no NMI on this architecture" ;;
			esac
			unload pcpuref || :
			break
		fi
		if [ "$round" -eq 0 ] && rmmod pcpuref 2>/dev/null; then
			why="the core was unloaded under its client"
			break
		fi
		why=$(unload pcpuref_test_unload && unload pcpuref) || break
		round=$((round + 1))
	done
	# What comes too late needs time to come.
	sleep 0.1
	complaints=$(take_slice)
	if [ -n "$skipped" ]; then
		skip "unload_${mode}_G14" "$skipped"
		continue
	fi
	said=$(grep -c "pcpuref-unload: $mode: ok\$" "$tmp/slice" || :)
	[ "$said" -eq "$round" ] ||
		why="$why $(grep "pcpuref-unload: $mode: [0-9]" "$tmp/slice" || :)"
	[ "$round" -eq 5 ] || why="$why ended after $round rounds"
	verdict "unload_${mode}_G14" "$why$complaints"
done

# The module loader waits for a grace period before it frees the core's code, and not for
# callbacks: those may be called later, on another CPU or behind a grace period of
# RCU-tasks. With this the loader's own wait needs no callback.
expedited=/sys/kernel/rcu_expedited
expedited_before=
if [ -w "$expedited" ]; then
	expedited_before=$(cat "$expedited")
	echo 1 >"$expedited"
fi
delay=/sys/module/pcpuref_test_delay/parameters

# In the background: let RCU call back, when the core has had the time to go and is there.
end_the_delay()
{
	tries=300
	while loaded pcpuref_test_unload && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	sleep 2
	[ ! -e "$tmp/gone" ] || return 0
	cat "$delay/left" >"$tmp/left"
	echo 1 >"$delay/over"
}

for mode in late late_tasks; do
	what=callbacks
	[ "$mode" = late ] || what=tasks
	name=core_waits_for_${what}_G14
	mark
	why=$(load pcpuref) || :
	[ -n "$why" ] || why=$(load pcpuref_test_unload mode=$mode) || :
	[ -n "$why" ] || why=$(load pcpuref_test_delay what=$what) || :
	case $why in
	*[Nn]ot\ supported*)
		# Not by what the core says alone.
		if grep -q ' call_rcu_tasks$' /proc/kallsyms; then
			not_ok "$name" "$why, though there is RCU-tasks"
		else
			skip "$name" "this kernel has no RCU-tasks"
		fi
		unload_all
		continue
		;;
	?*)
		not_ok "$name" "$why$(take_slice)"
		continue
		;;
	esac
	rm -f "$tmp/gone" "$tmp/left"
	end_the_delay &
	why=$(unload pcpuref_test_unload && unload pcpuref) || :
	: >"$tmp/gone"
	early=$why
	[ "$(cat "$delay/over")" = 1 ] || early="$why the core has gone before its callbacks"
	[ -z "$early" ] || [ "$what" = tasks ] || early="$early, $(cat "$delay/left") of the delay are left"
	if [ -n "$early" ]; then
		# Code that has gone is called as soon as the delay ends: say so before. The
		# sed of run.sh prints a line when it has the next one.
		not_ok "$name" "$early"
		diag "the machine may crash now"
		sleep 1
		echo 1 >"$delay/over"
	fi
	wait
	why=$(unload pcpuref_test_delay) || :
	[ -n "$early" ] || [ "$what" != callbacks ] || [ "$(cat "$tmp/left")" -gt 0 ] ||
		why="$why nothing was late"
	[ -n "$early" ] || verdict "$name" "$why$(take_slice)"
done
[ -z "$expedited_before" ] || echo "$expedited_before" >"$expedited"

# The report of an exit that is the last thing a client's module does names the client.
# (The loader knows the module's exit function by another name, too.)
mark
why=$(load pcpuref && load pcpuref_test_last && unload pcpuref_test_last) || :
complaints=$(take_slice)
grep -q 'exit with references out: .* caller=\(last_exit\|cleanup_module\)+0x.* \[pcpuref_test_last\]' \
	"$tmp/slice" || why="$why $(grep ' caller=' "$tmp/slice" || echo "no report")"
# A module that comes to the same address is heard again.
mark
[ -n "$why" ] || why=$(load pcpuref_test_last && unload pcpuref_test_last) || :
complaints="$complaints$(take_slice)"
verdict last_exit_is_named "$why$complaints"
verdict unload "$(unload pcpuref)"

finish
