# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What counts in this kernel, and what there is right after boot; leaks.sh
# comes back to it.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

cpus()
{
	[ "$(nproc)" -ge 2 ]
}

# Those that every kernel has.
ours()
{
	[ -e "$refs" ] || { echo "not on pcpuref"; exit 77; }
	head -n 20 "$refs"
	for ref in self.refcnt refcnt q_usage_counter blkg; do
		grep -q "[>.]$ref " "$refs" || grep -q "$ref" "$refs"
	done
	grep -q ' percpu ' "$refs"
}

inventory()
{
	[ -e "$refs" ] || { echo "not on pcpuref"; exit 77; }
	patiently 30 settled
	kinds >/tmp/refs-after-boot
	cat /sys/module/pcpuref/parameters/allocated >/tmp/allocated-after-boot
	[ -s /tmp/refs-after-boot ]
}

# All groups are made in this one, so that leaks.sh can ask for what its CPUs keep.
# Not with io: that makes a count for each disk in each group that has it.
group()
{
	controllers="+memory +pids +cpu +cpuset"
	echo "$controllers" >"${cg%/*}/cgroup.subtree_control"
	mkdir "$cg"
	echo "$controllers" >"$cg/cgroup.subtree_control"
}

# What the kernel keeps for good when it has been used once: the reference of the
# first area for swap, which is dead then, and the first pool of zswap.
kept()
{
	mkswap "$disk_swap"
	[ ! -e /sys/module/zswap/parameters/enabled ] ||
		echo Y >/sys/module/zswap/parameters/enabled
	swapon "$disk_swap"
	swapoff "$disk_swap"
	[ ! -e /sys/module/zswap/parameters/enabled ] ||
		echo N >/sys/module/zswap/parameters/enabled
}

# Twice the same.
settled()
{
	kinds >"$work/before"
	sleep 1
	kinds | cmp -s - "$work/before"
}

step "several CPUs" cpus
step "the kernel's references are pcpuref's" ours
step "a group for all" group
step "swap for the first time" kept
step "references after boot" inventory
finish
