# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Memory that is charged to groups, and groups that go before it does.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

in_group()
{
	_group=$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$_group" "$@"
}

charged()
{
	mkdir "$cg/charge"
	in_group "$cg/charge" dd if=/dev/zero of=/dev/shm/charged bs=1M count=24
	[ "$(cat "$cg/charge/memory.current")" -ge $((24 << 20)) ]
	rm /dev/shm/charged
	patiently 20 below "$cg/charge/memory.current" $((8 << 20))
	rmdir "$cg/charge"
}

below()
{
	[ "$(cat "$1")" -lt "$2" ]
}

# The group is removed, the pages that it was charged for are not.
offline()
{
	mkdir "$cg/offline"
	echo "+memory" >"$cg/offline/cgroup.subtree_control"
	for i in $(seq 40); do
		mkdir "$cg/offline/$i"
		in_group "$cg/offline/$i" dd if=/dev/zero of="/dev/shm/off.$i" bs=256k count=1
		rmdir "$cg/offline/$i"
	done
	for i in $(seq 40); do
		cat "/dev/shm/off.$i" >/dev/null
	done
	rm /dev/shm/off.*
	rmdir "$cg/offline"
}

out_of_memory()
{
	mkdir "$cg/small"
	echo 8M >"$cg/small/memory.max"
	[ ! -e "$cg/small/memory.swap.max" ] || echo 0 >"$cg/small/memory.swap.max"
	rc=0
	# shellcheck disable=SC2016 # for perl
	in_group "$cg/small" perl -e '$x = "x" x 64e6; sleep 1' || rc=$?
	[ "$rc" -ne 0 ]
	grep -q '^oom_kill [1-9]' "$cg/small/memory.events"
	rmdir "$cg/small"
}

step "charged and uncharged" charged
step "groups go before their pages" offline
step "out of memory in a group" out_of_memory
finish
