# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# A mirror: two disks, ext4, load; then what an administrator does to it.
# md counts its writes in a reference that is zero while the array is clean.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

md=/sys/block/md0/md
export MDADM_NO_UDEV=1

state_is()
{
	case $(cat "$md/array_state") in
	"$1") return 0 ;;
	*) return 1 ;;
	esac
}

idle()
{
	reads "$md/sync_action" idle
}

complete()
{
	idle && reads "$md/degraded" 0
}

create()
{
	mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 \
		--bitmap=internal "$disk_md1" "$disk_md2"
	patiently 60 complete
	ext4 /dev/md0 /mnt/md
}

# Written to it is active, then clean by itself, time and again.
clean_when_idle()
{
	echo 0.2 >"$md/safe_mode_delay"
	for _ in $(seq 6); do
		dd if=/dev/zero of=/mnt/md/zeroes bs=64k count=8 conv=fsync
		patiently 15 state_is clean
	done
}

suspend()
{
	echo 0 >"$md/suspend_lo"
	echo 16384 >"$md/suspend_hi"
	sleep 0.2
	echo 0 >"$md/suspend_hi"
}

suspended()
{
	load 10 /mnt/md/load --direct=1
	under_load suspend
}

new_bitmap()
{
	mdadm --grow /dev/md0 --bitmap=none
	mdadm --grow /dev/md0 --bitmap=internal
}

# A bitmap that comes or goes suspends the whole array.
bitmaps()
{
	load 10 /mnt/md/load --direct=1
	under_load new_bitmap
}

disk_fails()
{
	load 15 /mnt/md/load --direct=1
	sleep 2
	for _ in 1 2 3; do
		mdadm /dev/md0 --fail "$disk_md2"
		reads "$md/degraded" 1
		patiently 20 mdadm /dev/md0 --remove "$disk_md2"
		mdadm /dev/md0 --re-add "$disk_md2" || mdadm /dev/md0 --add "$disk_md2"
		patiently 60 complete
	done
	load_is_over
	patiently 15 state_is clean
}

checked()
{
	for _ in 1 2 3; do
		echo check >"$md/sync_action"
		patiently 60 idle
		reads "$md/mismatch_cnt" 0
	done
}

read_only()
{
	umount /mnt/md
	e2fsck -fn /dev/md0
	mdadm --readonly /dev/md0
	state_is readonly
	mdadm --readwrite /dev/md0
	mount -t ext4 /dev/md0 /mnt/md
	dd if=/dev/zero of=/mnt/md/zeroes bs=64k count=8 conv=fsync
	patiently 15 state_is clean
}

stopped()
{
	umount /mnt/md
	patiently 15 state_is clean
	mdadm --stop /dev/md0
	for _ in 1 2 3 4 5; do
		mdadm --assemble /dev/md0 "$disk_md1" "$disk_md2"
		dd if=/dev/zero of=/dev/md0 bs=64k count=8 seek=40 conv=fsync
		patiently 15 state_is clean
		mdadm --stop /dev/md0
	done
	mdadm --zero-superblock "$disk_md1" "$disk_md2"
	patiently 20 gone
}

gone()
{
	[ ! -e /sys/block/md0 ]
}

step "created, with ext4" create
step "clean when idle" clean_when_idle
step "a range suspended under load" suspended
step "bitmap removed and added under load" bitmaps
step "a disk failed, removed, added again under load" disk_fails
step "checked" checked
step "read-only and back" read_only
step "stopped and assembled" stopped
finish
