# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The task of the machine in which the output that the documents show is printed anew
# (captured.sh). It does what they tell the reader to do, and prints what comes of it. A
# line "pcpuref-captured: NAME" begins each part; the last one says that all were done.

export MODDIR=/modules
debugfs=/sys/kernel/debug/pcpuref
tracing=/sys/kernel/tracing
dmesg -n 1

part()
{
	echo "pcpuref-captured: $*"
	dmesg -c >/dev/null
}

fail()
{
	echo "captured: FAILED: $*"
	dmesg | tail -n 30
	exit 1
}

# show COMMAND: the command and its output, as a document has them
show()
{
	echo "# $*"
	eval "$*" 2>&1
}

# id_of NAME: of a reference, as the table has it
id_of()
{
	awk -v name="$1" '$2 == name { print $1; exit }' $debugfs/refs
}

# What the selftests provoke.
cd /selftests || exit 1
for t in watch.sh holders.sh misuse.sh kref.sh porting.sh; do
	part "selftests/$t"
	sh "./$t" >/tmp/out 2>&1 || {
		cat /tmp/out
		fail "selftests/$t"
	}
	dmesg
done

part "a template client, as introduction.rst has it"
cd /modules || exit 1
show insmod ./pcpuref.ko trace_events=1 || fail insmod
show insmod ./pcpuref_watch.ko || fail insmod
show insmod ./template.ko || fail template
show dmesg
show cat $debugfs/refs
id=$(id_of '&thing->ref')
# The file is made a moment later.
for _ in $(seq 50); do
	[ ! -e "$debugfs/ref/$id" ] || break
	sleep 0.1
done
show "cat $debugfs/ref/$id" || fail "no file of $id"
show rmmod template || fail rmmod
show "dmesg | tail -5"
cd leaky || exit 1
echo 0 >/sys/module/pcpuref/parameters/trace_events
show insmod ./template.ko || fail template
show rmmod template || fail rmmod
show "dmesg | tail -1"
cd /modules || exit 1
{ rmmod pcpuref_watch && rmmod pcpuref; } || fail rmmod

part "pcpuref_stuck, as debugging.rst has it"
insmod pcpuref.ko
show insmod pcpuref_watch.ko stuck_secs=5
show insmod pcpuref_stuck.ko && fail "pcpuref_stuck does without pcpuref_holders"
show dmesg
dmesg -c >/dev/null
show insmod pcpuref_holders.ko
show insmod pcpuref_stuck.ko || fail pcpuref_stuck
sleep 13
show "dmesg | grep pcpuref"
show "dmesg | grep 'is stuck'"
show cd $debugfs
show cat refs
show cat stats
id=$(id_of '&leaky.ref')
show "cat ref/$id"
show "echo $id >dump; dmesg | tail -8"
show "echo all >$debugfs/dump"
show "echo '&css->refcnt,&queue*' >/sys/module/pcpuref_watch/parameters/linger"
echo >/sys/module/pcpuref_watch/parameters/linger

part "the trace of pcpuref_stuck, as debugging.rst has it"
show cd $tracing/events/pcpuref
show "echo 'name == \"&sound.ref\"' >pcpuref_kill/filter"
show "echo 1 >pcpuref_kill/enable; sleep 1; echo 0 >pcpuref_kill/enable; tail -3 $tracing/trace"
echo 0 >pcpuref_kill/filter
show "echo 'hist:keys=name:vals=since_kill' >pcpuref_release/trigger"
show "sleep 2; cat pcpuref_release/hist"
show "echo '!hist:keys=name:vals=since_kill' >pcpuref_release/trigger"
show "echo 'hist:keys=name,stacktrace' >pcpuref_kill/trigger; sleep 2; cat pcpuref_kill/hist"
show "echo '!hist:keys=name,stacktrace' >pcpuref_kill/trigger"
show cd $tracing
show "echo 1 >events/pcpuref/enable; sleep 10; echo 0 >tracing_on"
show "cat trace >/tmp/trace; echo 0 >events/pcpuref/enable; echo 1 >tracing_on"
grep -q 'pcpuref_release: ' /tmp/trace || fail "nothing traced"
cd /modules || exit 1
show "echo 1 >/sys/module/pcpuref/parameters/trace_events"
echo 0 >/sys/module/pcpuref/parameters/trace_events
show "echo 'module pcpuref +p' >/sys/kernel/debug/dynamic_debug/control"
show "echo 'module pcpuref -p' >/sys/kernel/debug/dynamic_debug/control"
rmmod pcpuref_stuck || fail rmmod
show "dmesg | tail -4"

part "pcpuref_session, as debugging.rst has it"
echo 1 >/sys/module/pcpuref_watch/parameters/stuck_secs
insmod pcpuref_session.ko || fail pcpuref_session
run=/sys/module/pcpuref_session/parameters/run
echo "open 0" >$run
echo poll >$run
echo fail >$run
echo kill >$run
sleep 4
echo exit >$run
show dmesg
rmmod pcpuref_session
insmod pcpuref_session.ko || fail pcpuref_session
echo "open 1" >$run
echo "close 1" >$run
echo "close 1" >$run
show dmesg
rmmod pcpuref_session

part "one reference, and its counters, as debugging.rst has it"
insmod pcpuref_test_watch.ko || fail pcpuref_test_watch
run=/sys/module/pcpuref_test_watch/parameters/run
echo "init 0" >$run
taskset 2 sh -c "n=0; while [ \$n -lt 1000 ]; do n=\$((n + 1)); echo get 0 >$run; done"
taskset 8 sh -c "n=0; while [ \$n -lt 997 ]; do n=\$((n + 1)); echo put 0 >$run; done"
sleep 0.5
show "cat $debugfs/ref/$(id_of watched)"
taskset 8 sh -c "n=0; while [ \$n -lt 3 ]; do n=\$((n + 1)); echo put 0 >$run; done"
echo 1 >/sys/module/pcpuref/parameters/trace_events
for step in "init 1" "get 1" "get 1" "confirm 1" "put 1" "put 1" "exit 1"; do
	echo "$step" >$run
	sleep 0.2
done
echo 0 >/sys/module/pcpuref/parameters/trace_events
# A put too many that is found at a kill, and one at a switch.
for step in "init 2" "put 2" "kill 2" "init 3" "put 3" "atomic 3"; do
	echo "$step" >$run
	sleep 0.2
done
# The put too many in atomic mode is reported with its caller.
for step in "counted 4" "put 4" "put 4"; do
	echo "$step" >$run
done
echo 1 >/sys/module/pcpuref_test_watch/parameters/leave
echo "init 5" >$run
echo "kill 0" >$run
sleep 0.5
show "rmmod pcpuref_test_watch; dmesg"

# The module stays loaded after it: this is the last part.
part "a failure of the stress test, as stress.rst has it"
insmod pcpuref_test_stress.ko secs=10 seed=4711 bug=late_put || fail pcpuref_test_stress
run=/sys/module/pcpuref_test_stress/parameters/run
echo stress_G1_G2_G3_G4_G12_G13_G15_G17 >$run
show dmesg

echo "pcpuref-captured: end"
