# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# After all the work: is there what there was after boot, and no more?
# What was removed goes in the background, so with patience.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

ours()
{
	[ -e "$refs" ] || { echo "not on pcpuref"; exit 77; }
}

# Each CPU keeps memory that was charged to groups of late, and with it references
# to their counts; a limit lowered makes it give up what is charged below this group.
give_up()
{
	echo 0 >"$cg/memory.high"
	echo max >"$cg/memory.high"
}

same_kinds()
{
	give_up
	kinds | cmp -s - /tmp/refs-after-boot
}

references()
{
	ours
	# Caches may hold groups whose memory they are.
	echo 3 >/proc/sys/vm/drop_caches
	patiently 60 same_kinds && return
	kinds | diff /tmp/refs-after-boot - || :
	grep dying "$refs" | head -n 20
	return 1
}

same_memory()
{
	reads /sys/module/pcpuref/parameters/allocated "$(cat /tmp/allocated-after-boot)"
}

memory()
{
	ours
	patiently 30 same_memory && return
	cat /tmp/allocated-after-boot /sys/module/pcpuref/parameters/allocated
	return 1
}

no_dying_groups()
{
	echo 3 >/proc/sys/vm/drop_caches
	grep -qx 'nr_dying_descendants 0' "$cg/cgroup.stat"
}

groups()
{
	patiently 60 no_dying_groups && return
	cat "$cg/cgroup.stat"
	return 1
}

step "no group is dying" groups
step "references as after boot" references
step "memory of the core as after boot" memory
finish
