#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The NVMe target with pcpurefs: a ram disk as a namespace, reached by the stock
# kernel's host side through the loop and the TCP transport; written and read, taken
# away and given back under load.
#
# The namespace goes under load with TCP only. The loop transport of 6.12 looks a
# namespace up in an RCU read section (nvme_loop_queue_rq() has no BLK_MQ_F_BLOCKING), and
# when it is gone nvmet_subsys_nsid_exists() takes a mutex there, of which the kernel
# warns now and then. That has nothing to do with references.
#
# Two references: ns->ref, killed when a namespace is disabled, and sq->ref of each
# queue, killed when a controller goes.

# Functions are called by name, in eventually():
# shellcheck disable=SC2317

set -eu

# shellcheck source=selftests/drop-in/lib.sh
. "$(dirname "$0")/lib.sh"

begin_driver nvmet "brd rd_nr=2 rd_size=32768" nvme-loop nvmet-tcp nvme-tcp
ip link set lo up
config=/sys/kernel/config
[ -d $config/nvmet ] || mount -t configfs configfs $config
nvmet=$config/nvmet
nqn=drop-in
port=$nvmet/ports/1
subsystem=$nvmet/subsystems/$nqn
namespace=$subsystem/namespaces/1
disk=/dev/nvme0n1

make_blobs
cat "$tmp"/blob? "$tmp"/blob? >"$tmp/data"
blocks=$(($(wc -c <"$tmp/data") / 65536))
data_sum=$(sha256sum <"$tmp/data")

has_disk()
{
	[ -b "$disk" ] && [ "$(cat "/sys/block/${disk##*/}/size" 2>/dev/null || echo 0)" -gt 0 ]
}

no_disk()
{
	! [ -b "$disk" ]
}

# set_up loop|tcp
set_up()
{
	address=
	[ "$1" = loop ] || address=,traddr=127.0.0.1,trsvcid=4420
	if ! {
		mkdir $subsystem && echo 1 >$subsystem/attr_allow_any_host &&
			mkdir $namespace &&
			printf /dev/ram1 >$namespace/device_path &&
			echo 1 >$namespace/enable &&
			mkdir $port && echo "$1" >$port/addr_trtype && {
				[ "$1" = loop ] || {
					echo ipv4 >$port/addr_adrfam &&
						echo 127.0.0.1 >$port/addr_traddr &&
						echo 4420 >$port/addr_trsvcid
				}
			} &&
			ln -s $subsystem $port/subsystems/$nqn
	}; then
		echo "cannot set up"
		return 1
	fi
	echo "transport=$1,nqn=$nqn$address" 2>"$tmp/connect" >/dev/nvme-fabrics || {
		echo "cannot connect: $(cat "$tmp/connect")"
		return 1
	}
	eventually 30 has_disk || {
		echo "no NVMe disk"
		return 1
	}
}

take_down()
{
	if ! {
		rm -f $port/subsystems/$nqn && rmdir $port &&
			echo 0 >$namespace/enable && rmdir $namespace && rmdir $subsystem
	}; then
		echo "cannot take down"
		return 1
	fi
}

disconnect()
{
	for c in /sys/class/nvme/nvme*; do
		echo 1 >"$c/delete_controller" || echo "cannot disconnect ${c##*/}"
	done
	eventually 30 no_disk || echo "the NVMe disk stays"
}

sum_of()
{
	dd if="$1" bs=64k count="$blocks" iflag=direct 2>/dev/null | sha256sum
}

# transfer: write, by four at once, and read back, as an NVMe disk and below it
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
	[ "$(sum_of /dev/ram1)" = "$data_sum" ] || echo "the ram disk differs"
	dd if=/dev/zero of=/dev/ram1 bs=64k count="$blocks" oflag=direct 2>/dev/null
}

why=$(set_up tcp) || :
verdict set_up "$why"
verdict_ours has_references "$(has_refs '&ns->ref' '&sq->ref')"
[ -n "$why" ] || why=$(transfer)
verdict transfer "$why"

# A namespace is disabled under load: what is under way ends first. It comes back.
round=0
why=
while [ "$round" -lt "$(rounds 10 2)" ] && [ -z "$why" ]; do
	round=$((round + 1))
	eventually 30 has_disk || {
		why="no disk"
		break
	}
	start_readers "$disk" "$blocks"
	echo 0 >$namespace/enable || why="cannot disable"
	eventually 30 no_disk || why="$why the disk stays"
	wait_for_readers
	echo 1 >$namespace/enable || why="$why cannot enable"
	eventually 30 has_disk || why="$why the disk does not come back"
	[ -n "$why" ] || why=$(transfer)
done
verdict namespace_under_load "$why${why:+ in round $round}"
why=$(disconnect && take_down) || :
verdict take_down "$why"

# rounds_of TRANSPORT MANY FEW
rounds_of()
{
	round=0
	why=
	while [ "$round" -lt "$(rounds "$2" "$3")" ] && [ -z "$why" ]; do
		round=$((round + 1))
		why=$(set_up "$1") || break
		why=$(transfer)
		[ -n "$why" ] || why=$(disconnect && take_down) || break
	done
	verdict "rounds_$1" "$why${why:+ in round $round}"
}

rounds_of loop 20 2
rounds_of tcp 10 1

plain || {
	eventually 20 no_refs || :
	why=$(
		take_trace
		life '&ns->ref' init kill switch release exit
		life '&sq->ref' init kill switch confirm release exit
	)
}
verdict_ours lives_in_trace "$why"
end_driver nvme_loop nvmet_tcp nvmet
