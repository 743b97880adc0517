#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-vm.sh: do vm.sh and uml-boot.sh return what the guest's task returned, give up a
# machine that hangs while it boots, and end when Ctrl-C is pressed? With programs in place
# of QEMU and of Linux. Prints KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_packages python3
work_dir vm
# Does what the file "does" says. Like QEMU it takes its pidfile away at its end.
cat >"$work/machine" <<'END'
#!/bin/sh
pidfile=
while [ $# -gt 0 ]; do
	[ "$1" != -pidfile ] || pidfile=$2
	shift
done
[ -z "$pidfile" ] || echo $$ >"$pidfile"
trap 'kill "$sleeper" 2>/dev/null; [ -z "$pidfile" ] || rm -f "$pidfile"; exit 1' INT TERM
sleep 60 >/dev/null &
sleeper=$!
echo "$$ $sleeper" >>"$WORK/boots"
. "$WORK/does"
kill "$sleeper"
[ -z "$pidfile" ] || rm -f "$pidfile"
END
chmod +x "$work/machine"
export WORK="$work"

# boot PROGRAM [VARIABLE=VALUE]...: leaves the status in $rc, and how often in $boots
boot()
{
	_program=$1
	shift
	: >"$work/boots"
	rc=0
	# No KVM: that is looked for with the program, and kept by its name.
	env ICOUNT=1 VM_QEMU="$work/machine" "$@" "$top/scripts/$_program" "$work/machine" \
		/dev/null "$work/log" >"$work/out" 2>&1 || rc=$?
	boots=$(wc -l <"$work/boots")
}

# is NAME RC BOOTS
is()
{
	_why=
	[ "$rc" -eq "$2" ] || _why="status $rc, not $2"
	[ "$boots" -eq "$3" ] || _why="$_why booted $boots times, not $3"
	verdict "$1" "$_why"
}

for program in vm.sh uml-boot.sh; do
	echo "echo pcpuref-guest: start; echo pcpuref-guest: exit 3" >"$work/does"
	boot $program
	is "${program%.sh}_returns_the_status" 3 1
	echo "echo pcpuref-guest: start" >"$work/does"
	boot $program
	is "${program%.sh}_tells_a_guest_without_end" 125 1
	# shellcheck disable=SC2016 # for that shell
	echo 'echo pcpuref-guest: start; wait $sleeper' >"$work/does"
	boot $program TIMEOUT=1
	is "${program%.sh}_gives_up_after_its_time" 124 1
done
# Nothing of the task has been seen, so it says nothing about the task.
: >"$work/does"
boot vm.sh
is vm_boots_again 125 3
# shellcheck disable=SC2016
echo 'wait $sleeper' >"$work/does"
boot vm.sh BOOT_TIMEOUT=1
is vm_boots_again_what_hangs 125 3

# As a terminal does: to all processes of the group, which do not ignore it.
cat >"$work/interrupt.py" <<'END'
import os, signal, subprocess, sys, time

work = os.environ["WORK"]
open(f"{work}/boots", "w").close()
one = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       start_new_session=True,
                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
end = time.monotonic() + 20
while not os.path.getsize(f"{work}/boots") and time.monotonic() < end:
    time.sleep(0.1)
pids = [int(pid) for pid in open(f"{work}/boots").read().split()]
if not pids:
    sys.exit("it has not begun")
time.sleep(0.5)
os.killpg(one.pid, signal.SIGINT)
end = time.monotonic() + 10
one.wait(10)


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


while any(map(runs, pids)):
    if time.monotonic() > end:
        sys.exit("the machine still runs")
    time.sleep(0.1)
END
# shellcheck disable=SC2016
echo 'echo pcpuref-guest: start; wait $sleeper' >"$work/does"
for program in vm.sh uml-boot.sh; do
	verdict "${program%.sh}_interrupted" "$(ICOUNT=1 VM_QEMU="$work/machine" \
		python3 "$work/interrupt.py" "$top/scripts/$program" "$work/machine" /dev/null \
		"$work/log" 2>&1)"
done
rm -f "$work/log.pid"
echo "1..$number"
[ "$failures" -eq 0 ]
