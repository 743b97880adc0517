# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Block devices that come and go, and queues that freeze under load: a change of
# the scheduler or of the number of requests waits until no request is in.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

nullb=/sys/kernel/config/nullb

# create NAME: leave in $dev its device
create()
{
	mkdir "$nullb/$1"
	echo 1 >"$nullb/$1/memory_backed"
	echo 32 >"$nullb/$1/size"
	echo 4 >"$nullb/$1/submit_queues"
	echo 1 >"$nullb/$1/power"
	dev=$1
	patiently 10 test -b "/dev/$dev"
}

remove()
{
	echo 0 >"$nullb/$1/power"
	rmdir "$nullb/$1"
}

come_and_go()
{
	for i in $(seq 30); do
		create "n$i"
		dd if="/dev/$dev" of=/dev/null bs=64k count=4
		remove "n$i"
	done
}

many_at_once()
{
	for i in $(seq 12); do
		create "m$i"
	done
	for i in $(seq 12); do
		remove "m$i"
	done
}

each_scheduler()
{
	for s in mq-deadline kyber bfq none; do
		echo "$s" >"/sys/block/$dev/queue/scheduler"
		grep -q "\[$s\]" "/sys/block/$dev/queue/scheduler"
	done
}

schedulers()
{
	create sched
	load 12 "/dev/$dev" --direct=1 --numjobs=2 --offset_increment=16M --size=12M
	under_load each_scheduler
	remove sched
}

each_depth()
{
	for n in 8 64 17 32; do
		echo "$n" >"/sys/block/$dev/queue/nr_requests"
		reads "/sys/block/$dev/queue/nr_requests" "$n"
	done
}

depths()
{
	create depth
	echo mq-deadline >"/sys/block/$dev/queue/scheduler"
	load 10 "/dev/$dev" --direct=1
	under_load each_depth
	remove depth
}

each_number()
{
	for n in 1 4 2 3; do
		echo "$n" >"$nullb/queues/submit_queues"
	done
}

# The number of queues: everything is taken down and built up again.
queues()
{
	create queues
	load 10 "/dev/$dev" --direct=1
	under_load each_number
	remove queues
}

# Requests find the device gone: errors, but no hang.
removed_under_load()
{
	for i in 1 2 3; do
		create "gone$i"
		load 15 "/dev/$dev" --direct=1
		sleep 1.5
		kill -0 "$load"
		remove "gone$i"
		load_is_over || :
	done
}

step "created and removed" come_and_go
step "many at once" many_at_once
step "scheduler changed under load" schedulers
step "number of requests changed under load" depths
step "number of queues changed under load" queues
step "removed under load" removed_under_load
finish
