# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine that drop-in-kernel.sh boots: the programs of the host
# become usable, for reading only, and the subjects run, one after the other.
# The kernel's command line gives DROP_IN, names of subjects with commas between
# them, and what these want.
#
# Results go through the kernel's log, to keep their place between its lines:
#
#	pcpuref-ktap: LINE			KTAP, for what has a verdict of its own
#	pcpuref-result: SUITE TEST VERDICT	to be held against another kernel's

# A console that is slower than the kernel must not cost lines.
echo on >/proc/sys/kernel/printk_devkmsg

mkdir -p /host /run /dev/shm /mnt /var/tmp
mount -t hostfs -o ro none /host || exit 1
for d in /host/usr /host/etc /host/lib* /host/sbin /host/opt; do
	own=${d#/host}
	if [ -L "$d" ]; then
		ln -s "$(readlink "$d")" "$own"
	elif [ -d "$d" ]; then
		mkdir -p "$own"
		mount --bind "$d" "$own"
	fi
done
# Busybox has /bin; scripts of others want these.
for p in bash mount umount; do
	ln -sf "/usr/bin/$p" "/bin/$p"
done
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t configfs configfs /sys/kernel/config
busybox ip link set lo up
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/bin TMPDIR=/tmp

number=0
failed=0
for subject in $(echo "${DROP_IN:-boot}" | tr , " "); do
	number=$((number + 1))
	# What has no verdict of its own says nothing in KTAP.
	rc=0
	# Not busybox's shell, which prefers programs of its own.
	/usr/bin/sh "/drop-in-kernel/$subject.sh" || rc=$?
	case $rc in
	0) echo "pcpuref-ktap: ok $number $subject" >/dev/kmsg ;;
	77) number=$((number - 1)) ;;
	*)
		echo "pcpuref-ktap: not ok $number $subject" >/dev/kmsg
		failed=1
		;;
	esac
done
[ "$number" -eq 0 ] || echo "pcpuref-ktap: 1..$number" >/dev/kmsg
exit $failed
