# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task "blind" of debug-check.sh with kasan: each mistake of pcpuref_test_mistakes.c.
# After a report of its own or of KASAN lockdep is off, and with it what watches the read
# side of RCU. So these come last: wrong locks, then what KASAN finds, also in the bounds.

for mistake in no_read_side sleep_in_atomic cpu_may_change queued_twice shift leak \
	order_of_locks use_after_free bounds; do
	echo "pcpuref-mistake: $mistake" >/dev/kmsg
	insmod /modules/pcpuref_test_mistakes.ko mistake="$mistake"
	rmmod pcpuref_test_mistakes
done
echo "pcpuref-mistake: none" >/dev/kmsg
