# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that runs the selftests (selftest.sh). The tests
# look at the kernel's log themselves; all of it is shown only if one fails.

# Programs that need these would skip themselves.
for m in /sys/kernel/debug /sys/kernel/tracing; do
	grep -q " $m " /proc/mounts || {
		echo "$m is not mounted"
		exit 1
	}
done

export MODDIR=/modules
cd /selftests || exit 1
sh ./run.sh
rc=$?
if [ $rc -ne 0 ] && [ -z "${LOG_FOLLOWS:-}" ]; then
	echo "pcpuref-dmesg: begin"
	dmesg
	echo "pcpuref-dmesg: end"
fi
exit $rc
