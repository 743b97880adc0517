# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# How many requests a second go through a device that does nothing: what is
# left is the way there, with its references. To be held against another kernel's.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

seconds=${DROP_IN_SECONDS:-3}
n=/sys/kernel/config/nullb/fast
dev=/dev/fast

mkdir "$n"
echo 0 >"$n/memory_backed"
echo 1024 >"$n/size"
echo 2 >"$n/submit_queues"
echo 0 >"$n/irqmode"
echo 1 >"$n/power"
echo none >"/sys/block/fast/queue/scheduler"

# measure NAME OPTION...
measure()
{
	_name=$1
	shift
	_iops=$(fio --name="$_name" --filename="$dev" --rw=randread --bs=4k --direct=1 \
		--time_based --runtime="$seconds" --ramp_time=1 --group_reporting \
		--minimal --norandommap --randrepeat=1 "$@" 2>"$work/err" |
		awk -F ';' 'NF > 10 { print $8 }')
	if [ -n "$_iops" ]; then
		result iops "$_name" "$_iops"
	else
		printf 'pcpuref-note: %.200s\n' "$(head -n 1 "$work/err")" >/dev/kmsg
	fi
}

measure uring-1-job --ioengine=io_uring --iodepth=32 --numjobs=1 --thread
measure uring-2-jobs --ioengine=io_uring --iodepth=32 --numjobs=2 --thread
measure aio-1-job --ioengine=libaio --iodepth=32 --numjobs=1 --thread
measure sync-1-job --ioengine=psync --numjobs=1 --thread

echo 0 >"$n/power"
rmdir "$n"
result iops . end
exit 77
