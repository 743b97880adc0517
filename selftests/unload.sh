#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A client, and right after it the core, are unloaded while callbacks are on
# their way (G14): in per-CPU and in atomic mode, from a workqueue, recorded
# behind a switch, overtaken by a resurrect, deferred from NMI, and dropped by
# exit. See test_modules/pcpuref_test_unload.c.

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
unload pcpuref >/dev/null || :

finish
