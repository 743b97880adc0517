# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# io_uring and aio: requests that are checked, and contexts that come and go.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

checked()
{
	fio --name=checked --directory="$work/disk" --ioengine="$1" --rw=randrw \
		--bs=4k --size=4M --numjobs=4 --iodepth=16 --direct=1 --verify=crc32c \
		--group_reporting
}

# Each job has a context of its own, which lives for 64 requests.
short_lived()
{
	for _ in $(seq 12); do
		fio --name=short --directory="$work/disk" --ioengine="$1" --rw=randread \
			--bs=4k --size=256k --numjobs=16 --thread --group_reporting \
			--filename=short.file >/dev/null
	done
}

# The process dies with requests under way.
killed()
{
	for _ in $(seq 6); do
		fio --name=killed --directory="$work/disk" --ioengine="$1" --rw=randrw \
			--bs=4k --size=4M --numjobs=4 --iodepth=32 --direct=1 \
			--time_based --runtime=60 >/dev/null 2>&1 &
		pid=$!
		sleep 1.5
		pkill -KILL -x fio
		wait "$pid" || :
		! pgrep -x fio || patiently 20 gone
	done
}

gone()
{
	! pgrep -x fio
}

ext4 "$disk_work" "$work/disk"
for engine in io_uring libaio; do
	step "$engine: read and written, checked" checked "$engine"
	step "$engine: contexts come and go" short_lived "$engine"
	step "$engine: killed under load" killed "$engine"
done
umount "$work/disk"
finish
