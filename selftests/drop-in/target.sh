#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The SCSI target's core with pcpurefs: a ram disk, given out by iblock and tcm_loop,
# is a SCSI disk here, is written and read, and is taken away again, also while it is
# read.
#
# Two references: lun_ref, killed when a LUN goes, and cmd_cnt->refcnt of a session,
# which tcm_loop puts and exits without a kill.

# Functions are called by name, in eventually():
# shellcheck disable=SC2317

set -eu

# shellcheck source=selftests/drop-in/lib.sh
. "$(dirname "$0")/lib.sh"

begin_driver target_core_mod "brd rd_nr=2 rd_size=32768" target_core_iblock tcm_loop sd_mod
config=/sys/kernel/config
[ -d $config/target ] || mount -t configfs configfs $config
target=$config/target
wwn=naa.5001405000000001
tpg=$target/loopback/$wwn/tpgt_1
disk=

make_blobs
cat "$tmp"/blob? "$tmp"/blob? >"$tmp/data"
blocks=$(($(wc -c <"$tmp/data") / 65536))
data_sum=$(sha256sum <"$tmp/data")

find_disk()
{
	for d in /sys/bus/scsi/devices/*/block/*; do
		if [ -e "$d/size" ] && [ "$(cat "$d/size")" -gt 0 ] &&
			[ -b "/dev/${d##*/}" ]; then
			disk=/dev/${d##*/}
			return 0
		fi
	done
	return 1
}

no_disk()
{
	! find_disk
}

set_up()
{
	if ! {
		mkdir -p $target/core/iblock_0/disk &&
			echo udev_path=/dev/ram0 >$target/core/iblock_0/disk/control &&
			echo 1 >$target/core/iblock_0/disk/enable &&
			mkdir -p $tpg &&
			echo naa.5001405000000002 >$tpg/nexus &&
			mkdir -p $tpg/lun/lun_0 &&
			ln -s $target/core/iblock_0/disk $tpg/lun/lun_0/port
	}; then
		echo "cannot set up"
		return 1
	fi
	eventually 30 find_disk || {
		echo "no SCSI disk"
		return 1
	}
}

take_down()
{
	if ! {
		rm -f $tpg/lun/lun_0/port && rmdir $tpg/lun/lun_0 &&
			echo NULL >$tpg/nexus && rmdir $tpg ${tpg%/*} $target/loopback &&
			rmdir $target/core/iblock_0/disk $target/core/iblock_0
	}; then
		echo "cannot take down"
		return 1
	fi
	eventually 30 no_disk || echo "the SCSI disk stays"
}

sum_of()
{
	dd if="$1" bs=64k count="$blocks" iflag=direct 2>/dev/null | sha256sum
}

# transfer: write, by four at once, and read back, as a SCSI disk and below it
transfer()
{
	writers=
	for w in 0 1 2 3; do
		dd if="$tmp/data" of="$disk" bs=64k oflag=direct conv=notrunc \
			skip=$((w * blocks / 4)) seek=$((w * blocks / 4)) \
			count=$((blocks / 4 + 1)) 2>/dev/null &
		writers="$writers $!"
	done
	for w in $writers; do
		wait "$w" || echo "a write failed"
	done
	[ "$(sum_of "$disk")" = "$data_sum" ] || echo "the disk differs"
	[ "$(sum_of /dev/ram0)" = "$data_sum" ] || echo "the ram disk differs"
	dd if=/dev/zero of=/dev/ram0 bs=64k count="$blocks" oflag=direct 2>/dev/null
}

why=$(set_up) || :
find_disk || :
verdict set_up "$why"
verdict_ours has_references "$(has_refs '&lun->lun_ref' '&cmd_cnt->refcnt')"
[ -n "$why" ] || why=$(transfer)
verdict transfer "$why"
why=$(take_down) || :
verdict take_down "$why"

round=0
why=
while [ "$round" -lt "$(rounds 20 2)" ] && [ -z "$why" ]; do
	round=$((round + 1))
	why=$(set_up) || break
	find_disk
	why=$(transfer)
	[ -n "$why" ] || why=$(take_down) || break
done
verdict rounds "$why${why:+ in round $round}"

# The LUN goes while it is read: its reference waits for the reads.
round=0
why=
while [ "$round" -lt "$(rounds 10 1)" ] && [ -z "$why" ]; do
	round=$((round + 1))
	why=$(set_up) || break
	find_disk
	start_readers "$disk" "$blocks"
	why="$why$(take_down)" || :
	wait_for_readers
done
verdict gone_under_load "$why${why:+ in round $round}"

plain || {
	eventually 20 no_refs || :
	why=$(
		take_trace
		life '&lun->lun_ref' init kill switch release exit
		life '&cmd_cnt->refcnt' init exit
	)
}
verdict_ours lives_in_trace "$why"
end_driver tcm_loop target_core_iblock target_core_mod
