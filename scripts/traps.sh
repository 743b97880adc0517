#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# traps.sh: the known traps of percpu_ref, the same scenario compiled for
# percpu_ref and for pcpuref, on a stock Debian kernel (KERNEL, 6.12) in virtual
# machines. Each scenario gets a machine of its own for percpu_ref, which may hang
# or oops in it; pcpuref runs them all in one. Prints one table, and what each
# verdict rests on. Exit status 0 if every scenario ran, percpu_ref went wrong and
# pcpuref was correct in all.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

traps="L1 L2 L3 L4 L5 L6 L7 L8"
scenario()
{
	case $1 in
	L1) echo "INIT_ATOMIC, release calls exit: kill" ;;
	L2) echo "atomic mode, a reader under way: kill_and_confirm" ;;
	L3) echo "flags 0, switch_to_atomic_sync: still live?" ;;
	L4) echo "switch in flight: kill_and_confirm, resurrect" ;;
	L5) echo "switch in flight, interrupts off: kill_and_confirm" ;;
	L6) echo "exit with a reference out, then exit again" ;;
	L7) echo "exit with 2^62 references out: is_zero" ;;
	L8) echo "atomic mode: a put too many, then tryget" ;;
	esac
}

kernel=${KERNEL:-6.12}
assignments=$("$top/scripts/stock-kernel.sh" "$kernel")
eval "$assignments"
work_dir "traps-$kernel"
mkdir -p "$work/logs"
rm -f "$work/logs"/*

say "building for $RELEASE"
"$top/scripts/build-modules.sh" "$KDIR" "$work/build" selftests/traps
"$top/scripts/initramfs.sh" "$work/initramfs" \
	"$top/selftests/traps/traps-init.sh" \
	"$work/build/pcpuref.ko:modules/" \
	"$work/build/selftests/traps/pcpuref_traps.ko:modules/"

# boot LOG IMPL TRAP,...: the log is the result, whatever became of the machine.
boot()
{
	SMP=2 MEM=256M TIMEOUT=300 "$top/scripts/vm.sh" "$IMAGE" \
		"$work/initramfs" "$work/logs/$1" \
		"trap_impl=$2" "trap_list=$3" 2>"$work/logs/$1.host" || :
}

# Two machines at a time.
all=$(echo "$traps" | tr ' ' ,)
say "booting: pcpuref in all scenarios, percpu_ref in L1"
boot pcpuref pcpuref "$all" &
boot mainline-L1 mainline L1 &
wait
set -- L2 L3 L4 L5 L6 L7 L8
while [ $# -gt 0 ]; do
	say "booting: percpu_ref in $1${2:+ and $2}"
	boot "mainline-$1" mainline "$1" &
	[ $# -lt 2 ] || {
		boot "mainline-$2" mainline "$2" &
		shift
	}
	shift
	wait
done

# classify IMPL TRAP LOG
classify()
{
	awk -v impl="$1" -v trap="$2" -f "$top/selftests/traps/classify.awk" \
		"$work/logs/$3"
}

rc=0
row="%-5s %-51s %-31s %s\n"
echo
# shellcheck disable=SC2059 # the format is ours
printf "$row" trap scenario "percpu_ref $(echo "$RELEASE" | cut -d + -f 1)" pcpuref
for t in $traps; do
	classify mainline "$t" "mainline-$t" >"$work/theirs-$t"
	classify pcpuref "$t" pcpuref >"$work/ours-$t"
	theirs=$(head -n 1 "$work/theirs-$t")
	ours=$(head -n 1 "$work/ours-$t")
	# shellcheck disable=SC2059
	printf "$row" "$t" "$(scenario "$t")" "$theirs" "$ours"
	case $ours in
	correct | correct,\ reported) ;;
	*) rc=1 ;;
	esac
	case $theirs in
	"not run" | "machine lost" | "nothing observed") rc=1 ;;
	# Then it does not show the trap, or was not compiled for percpu_ref.
	correct | correct,\ reported) rc=1 ;;
	esac
done

echo
echo "What percpu_ref's verdicts rest on:"
for t in $traps; do
	sed "1d;s/^/  $t  /" "$work/theirs-$t"
done
echo "What pcpuref reported:"
for t in $traps; do
	sed "1d;s/^/  $t  /" "$work/ours-$t"
done
echo
if [ "$rc" -eq 0 ]; then
	echo "traps: every scenario ran, percpu_ref goes wrong and pcpuref is correct in all"
else
	echo "traps: FAILED, logs in $work/logs"
fi
exit "$rc"
