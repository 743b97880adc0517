#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# /init of the test machines, run by busybox: prepare the system, run /task,
# look whether lockdep is still on where there is one, tell how it ended, power
# off. The host looks for the last line: a machine that died, hung or never
# started has not printed it.

export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
exec </dev/null >/dev/console 2>&1
stty -onlcr 2>/dev/null </dev/console

# What the firmware left on the line must not stand before the marker.
printf '\n%s\n' "pcpuref-guest: start"
(cd / && sh /task)
rc=$?

# After trouble of some kinds lockdep turns itself off, and then sees nothing more.
if [ -e /proc/lockdep_stats ] && ! grep -q 'debug_locks: *1$' /proc/lockdep_stats; then
	echo "pcpuref-fault: lockdep is off"
	[ "$rc" -ne 0 ] || rc=1
fi
echo "pcpuref-guest: exit $rc"

# What was printed must be out before the machine is off.
sync
sleep 0.1
poweroff -f
