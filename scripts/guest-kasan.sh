# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine with KASAN (kasan.sh): /tests is the task of the
# other machines. After it nothing of ours is loaded, so that all memory that
# our modules had is either freed or a leak. The console shows disasters only;
# the whole log comes at the end.

(sh /tests)
rc=$?

leaks=/sys/kernel/debug/kmemleak
if [ -w $leaks ]; then
	# What is younger than five seconds is not looked at, and a first
	# scan can miss what a CPU still has in a register.
	for _ in 1 2; do
		sleep 6
		echo scan >$leaks
	done
	if [ -s $leaks ]; then
		cat $leaks
		echo "pcpuref-fault: memory was leaked"
		rc=1
	fi
else
	echo "pcpuref-fault: this kernel has no kmemleak"
	rc=1
fi

echo "pcpuref-dmesg: begin"
dmesg
echo "pcpuref-dmesg: end"
(exit $rc)
