# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Groups by the hundred: created, populated, moved, frozen, killed, removed.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

controllers="+memory +pids +cpu +cpuset +io"
count=${DROP_IN_COUNT:-100}

empty()
{
	grep -qx 'populated 0' "$1/cgroup.events"
}

frozen()
{
	grep -qx "frozen $2" "$1/cgroup.events"
}

remove()
{
	for d in "$1"/*/; do
		rmdir "$d"
	done
	rmdir "$1"
}

# populate TOP: groups, and a process that sleeps in each.
populate()
{
	set +x
	mkdir "$1"
	echo "$controllers" >"$1/cgroup.subtree_control"
	for i in $(seq "$count"); do
		mkdir "$1/$i"
		sleep 1000 &
		echo $! >"$1/$i/cgroup.procs"
	done
	grep -qx 'populated 1' "$1/cgroup.events"
}

# Each process to the next group; from the last one on, so that they do not gather.
move()
{
	for i in $(seq "$count" -1 1); do
		while read -r pid; do
			echo "$pid" >"$1/$((i % count + 1))/cgroup.procs"
		done <"$1/$i/cgroup.procs"
	done
}

one_by_one()
{
	populate "$cg/one"
	move "$cg/one"
	for i in $(seq "$count"); do
		echo 1 >"$cg/one/$i/cgroup.kill"
	done
	patiently 20 empty "$cg/one"
	remove "$cg/one"
	wait || :
}

whole_tree()
{
	populate "$cg/tree"
	echo 1 >"$cg/tree/cgroup.kill"
	patiently 20 empty "$cg/tree"
	remove "$cg/tree"
	wait || :
}

freezer()
{
	populate "$cg/ice"
	for _ in 1 2 3; do
		echo 1 >"$cg/ice/cgroup.freeze"
		patiently 20 frozen "$cg/ice" 1
		echo 0 >"$cg/ice/cgroup.freeze"
		patiently 20 frozen "$cg/ice" 0
	done
	echo 1 >"$cg/ice/cgroup.kill"
	patiently 20 empty "$cg/ice"
	remove "$cg/ice"
	wait || :
}

# A controller that goes takes the counts of all groups below with it.
controllers_come_and_go()
{
	mkdir "$cg/ctl"
	for i in $(seq 20); do
		mkdir "$cg/ctl/$i"
		sleep 1000 &
		echo $! >"$cg/ctl/$i/cgroup.procs"
	done
	for _ in $(seq 10); do
		echo "+memory +pids" >"$cg/ctl/cgroup.subtree_control"
		echo "-memory" >"$cg/ctl/cgroup.subtree_control"
		echo "+cpu +cpuset +memory" >"$cg/ctl/cgroup.subtree_control"
		echo "-pids -cpu -cpuset -memory" >"$cg/ctl/cgroup.subtree_control"
	done
	echo 1 >"$cg/ctl/cgroup.kill"
	patiently 20 empty "$cg/ctl"
	remove "$cg/ctl"
	wait || :
}

# Four shells, each with short-lived groups of its own.
churn()
{
	set +x
	mkdir "$cg/churn.$1"
	echo "$controllers" >"$cg/churn.$1/cgroup.subtree_control"
	for i in $(seq 40); do
		mkdir "$cg/churn.$1/$i"
		sleep 1000 &
		echo $! >"$cg/churn.$1/$i/cgroup.procs"
		echo 1 >"$cg/churn.$1/$i/cgroup.kill"
		patiently 20 empty "$cg/churn.$1/$i"
		rmdir "$cg/churn.$1/$i"
	done
	rmdir "$cg/churn.$1"
}

at_once()
{
	pids=
	for i in 1 2 3 4; do
		churn "$i" &
		pids="$pids $!"
	done
	for p in $pids; do
		wait "$p"
	done
}

for group in "${cg%/*}" "$cg"; do
	echo +io >"$group/cgroup.subtree_control"
done
step "created, attached, moved, killed, removed" one_by_one
step "killed as a tree" whole_tree
step "frozen and thawed" freezer
step "controllers come and go under processes" controllers_come_and_go
step "four at once" at_once
for group in "$cg" "${cg%/*}"; do
	echo -io >"$group/cgroup.subtree_control"
done
finish
