# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machines of debug-check.sh: /tests is the task of the other machines,
# FLAVOUR which debug kernel this is. The console shows disasters only; the whole log
# comes at the end.

fault()
{
	echo "pcpuref-fault: $1"
	rc=1
}

(LOG_FOLLOWS=1 sh /tests)
rc=$?

# Nothing of ours is loaded any more, so all memory that our modules had is either
# freed or a leak. What is younger than five seconds is not looked at, and a first scan
# can miss what a CPU still has in a register.
leaks=/sys/kernel/debug/kmemleak
if [ -w $leaks ]; then
	for _ in 1 2; do
		sleep 6
		# Where memory was short it has turned itself off, for good.
		echo scan >$leaks || fault "kmemleak is off"
	done
	# Its size is 0 whatever is in it.
	cat $leaks >/tmp/leaks
	if [ -s /tmp/leaks ]; then
		# As many as show what kinds there are.
		awk '/^unreferenced/ { n++ } n <= 20' /tmp/leaks
		echo "$(grep -c '^unreferenced' /tmp/leaks) objects in all; by their size and caller:"
		awk '/^unreferenced/ { size = $0; sub(/.*size /, "", size); sub(/\).*/, "", size) }
			/^ *backtrace/ { frames = 3; trace = "" }
			frames && !/backtrace/ && NF { trace = trace " " $NF; frames--
				if (!frames) kinds[size " bytes:" trace]++ }
			END { for (k in kinds) print kinds[k], "of", k }' /tmp/leaks
		fault "memory was leaked"
	fi
elif [ "$FLAVOUR" = kasan ]; then
	fault "this kernel has no kmemleak"
fi

[ -e /proc/lockdep_stats ] || fault "this kernel has no lockdep"
if [ "$FLAVOUR" = kcsan ]; then
	grep -q '^enabled: 1$' /sys/kernel/debug/kcsan || fault "KCSAN is off"
fi

echo "pcpuref-dmesg: begin"
dmesg
echo "pcpuref-dmesg: end"
(exit $rc)
