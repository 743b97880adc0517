# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine of agree.sh: the module carries out the sequences of
# /sequences, a line each. What comes of it stands in the kernel's log.

failed=0

fail()
{
	echo "pcpuref-fault: $1" >/dev/kmsg
	failed=1
}

# A console that is slower than the kernel must not cost lines.
echo on >/proc/sys/kernel/printk_devkmsg

insmod /modules/pcpuref.ko && insmod /modules/pcpuref_agree.ko || exit 1
for dir in /sequences/*; do
	echo "pcpuref-sequences: ${dir##*/}" >/dev/kmsg
	while read -r sequence; do
		echo "$sequence" >/sys/module/pcpuref_agree/parameters/run || {
			fail "not carried out: $sequence"
			break
		}
	done <"$dir/sequences"
done
rmmod pcpuref_agree || fail "pcpuref_agree does not unload"

# What is freed is so after a grace period.
tries=50
while read -r left </sys/module/pcpuref/parameters/allocated && [ "$left" != "0 0" ]; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || {
		fail "structures and counters that are left: $left"
		break
	}
	sleep 0.1
done
rmmod pcpuref || fail "pcpuref does not unload"
exit "$failed"
