# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# ext4 on a disk, and on a loop device of a file there.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

nested()
{
	for _ in 1 2 3; do
		ext4 "$disk_ext4" "$work/outer"
		truncate -s 24M "$work/outer/image"
		loop=$(losetup -f --show "$work/outer/image")
		ext4 "$loop" "$work/inner"
		fio --name=nested --directory="$work/inner" --ioengine=io_uring --rw=randrw \
			--bs=4k --size=2M --numjobs=4 --direct=1 --verify=crc32c >/dev/null
		cp /usr/bin/perl "$work/inner/copy"
		cmp /usr/bin/perl "$work/inner/copy"
		umount "$work/inner"
		e2fsck -fn "$loop"
		losetup -d "$loop"
		umount "$work/outer"
		e2fsck -fn "$disk_ext4"
	done
}

change_loop()
{
	losetup --direct-io=on "$loop" || :
	losetup -c "$loop"
	losetup --direct-io=off "$loop"
}

# A new backing file under load: the queue freezes.
changed()
{
	ext4 "$disk_ext4" "$work/outer"
	truncate -s 16M "$work/outer/image"
	loop=$(losetup -f --show "$work/outer/image")
	load 8 "$loop" --direct=1 --size=8M
	under_load change_loop
	losetup -d "$loop"
	umount "$work/outer"
}

many_loops()
{
	mkdir -p /dev/shm/images
	for _ in 1 2 3 4 5; do
		for i in $(seq 8); do
			truncate -s 1M "/dev/shm/images/$i"
			losetup -f "/dev/shm/images/$i"
		done
		losetup -D
		patiently 20 no_loops
		rm /dev/shm/images/*
	done
	rmdir /dev/shm/images
}

no_loops()
{
	[ -z "$(losetup -a)" ]
}

step "ext4 on loop on ext4" nested
step "loop device changed under load" changed
step "loop devices come and go" many_loops
finish
