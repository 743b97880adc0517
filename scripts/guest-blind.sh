# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task "blind" of debug-check.sh: each mistake of pcpuref_test_mistakes.c that FLAVOUR looks
# for. After a report of its own or of KASAN lockdep is off, and with it what watches the read
# side of RCU. So these come last: wrong locks, then what KASAN finds, also in the bounds.

kasan_first=
kasan_last=
if [ "$FLAVOUR" = kasan ]; then
	kasan_first="queued_twice leak"
	kasan_last=use_after_free
fi
for mistake in no_read_side sleep_in_atomic cpu_may_change shift $kasan_first order_of_locks \
	$kasan_last bounds; do
	echo "pcpuref-mistake: $mistake" >/dev/kmsg
	insmod /modules/pcpuref_test_mistakes.ko mistake="$mistake"
	rmmod pcpuref_test_mistakes
done
echo "pcpuref-mistake: none" >/dev/kmsg
