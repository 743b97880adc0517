# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2016
#
# The task of the machine in which trace-cmd and bpftrace are run as debugging.rst has it,
# and that is dumped then (captured-tools.sh). A line "pcpuref-captured: NAME" begins each
# part.

export PATH=/bin:/usr/bin:/usr/sbin
dmesg -n 1
cd /tmp || exit 1

part()
{
	echo "pcpuref-captured: $*"
}

fail()
{
	echo "captured: FAILED: $*"
	dmesg | tail -n 30
	exit 1
}

# show COMMAND: the command and its output, as a document has them. The output is left in
# /tmp/out.
show()
{
	printf '# %s\n' "$1"
	eval "$1" >/tmp/out 2>&1 || { cat /tmp/out; fail "$1"; }
	cat /tmp/out
}

# has TEXT: in the last output
has()
{
	grep -q "$1" /tmp/out || fail "no $1"
}

# later COMMAND: when the tool that is shown then has begun to look. bpftrace attaches its
# probes right after it has said so.
later()
{
	: >/tmp/out
	(
		until grep -q '^Attaching' /tmp/out ||
			grep -q 1 /sys/kernel/tracing/events/pcpuref/pcpuref_init/enable; do
			sleep 1
		done
		sleep 3
		eval "$1"
	) &
}

for m in pcpuref pcpuref_holders "pcpuref_watch stuck_secs=5"; do
	# shellcheck disable=SC2086 # a parameter
	set -- $m
	insmod "/modules/$1.ko" ${2:+"$2"} || fail "$1"
done

part "trace-cmd"
later 'insmod /modules/pcpuref_stuck.ko'
show "trace-cmd record -q -e pcpuref -f 'name == \"&leaky.ref\"' -o leaky.dat sleep 25"
show "trace-cmd report -i leaky.dat"
has 'pcpuref_dump: .*&leaky.ref'
id=$(awk '$2 == "&sound.ref" { print $1; exit }' /sys/kernel/debug/pcpuref/refs)
show "trace-cmd record -q -e pcpuref -f 'id == $id' sleep 1"
show "trace-cmd report | head -7"
has "pcpuref_kill: .* id=$id "
show "trace-cmd record -q -e pcpuref:pcpuref_release -f 'since_kill > 1000' sleep 4; trace-cmd report | head -5"
show "trace-cmd record -q -e pcpuref:pcpuref_kill -T sleep 1; trace-cmd report | head -16"
has '=> drive '
show "trace-cmd record -q -e pcpuref sleep 10"
# For lives.py, which this machine cannot run.
part "report"
trace-cmd report | head -n 400
part "end of report"

part "bpftrace"
rmmod pcpuref_stuck || fail rmmod
later 'insmod /modules/pcpuref_stuck.ko'
show "bpftrace -e 'tracepoint:pcpuref:pcpuref_kill { @dying[args->id] = str(args->name); } tracepoint:pcpuref:pcpuref_release { delete(@dying[args->id]); } interval:s:12 { exit(); }'"
has '@dying.*: &leaky.ref'
show "bpftrace -e 'tracepoint:pcpuref:pcpuref_* { @[probe, str(args->name)] = count(); } interval:s:5 { exit(); }'"
has '@.tracepoint:pcpuref:pcpuref_release, &sound.ref.'
show "bpftrace -e 'tracepoint:pcpuref:pcpuref_release /args->since_kill >= 0/ { @us[str(args->name)] = hist(args->since_kill); } interval:s:5 { exit(); }'"
has '@us.&sound.ref.'
show "bpftrace -e 'tracepoint:pcpuref:pcpuref_kill { @[str(args->name), kstack] = count(); } interval:s:5 { exit(); }'"
has 'drive+'
insmod /modules/pcpuref_session.ko || fail pcpuref_session
run=/sys/module/pcpuref_session/parameters/run
echo "open 1" >$run
later "echo kill >$run; echo kill >$run"
show "bpftrace -e 'tracepoint:pcpuref:pcpuref_misuse { printf(\"%s: %s by %s, task %s\\n\", str(args->name), str(args->what), ksym(args->caller), comm); } interval:s:6 { exit(); }'"
has 'kill of a dying reference by run_set'
later "echo close 1 >$run"
show "bpftrace -e 'kprobe:__pcpuref_put_slow { printf(\"ref %p put by %s %d%s\\n\", arg0, comm, pid, kstack(6)); } interval:s:8 { exit(); }'"
has 'session_close+'
rmmod pcpuref_session || fail rmmod

# A reference that is live for sure, with a user, when the machine is dumped.
insmod /modules/pcpuref_session.ko || fail pcpuref_session
echo "open 1" >$run
insmod /modules/qemu_fw_cfg.ko || fail qemu_fw_cfg
part "dump"
# The machine stands still while it is dumped.
sleep 20
part "end"
