#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What a machine of scripts/traps.sh does: run some scenarios, one after the
# other. Which ones comes from the kernel's command line, whose unknown
# parameters are init's environment: trap_list=L1,L3 trap_impl=mainline. What
# happened stands in the log that the console shows.

: "${trap_list:?}" "${trap_impl:?}"

dmesg -n 8
# For the stack of what hangs.
echo 1 >/proc/sys/kernel/sysrq
insmod /modules/pcpuref.ko || exit 1
for trap in $(echo "$trap_list" | tr , ' '); do
	insmod /modules/pcpuref_traps.ko restart=1 \
		trap="$trap" impl="$trap_impl" || exit 1
	rmmod pcpuref_traps || exit 1
done
rmmod pcpuref
