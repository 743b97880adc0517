#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# bench.sh [KERNEL] [KERNEL-PARAMETER]...: measure pcpuref against the kernel's
# own reference counts in a virtual machine, and print the table. The same
# numbers go to a CSV file, and cost against CPUs to an SVG plot, in
# bench-results/ below the cache or in the folder $BENCH_OUT.
#
# bench_arg=rounds=101 and the like are parameters of the module; without the
# row get+put, as with bench_arg=only=mass, or with one CPU, there is no plot. SMP
# is the number of CPUs (8). A machine that lacks the processors for them takes turns,
# so that the time of a pair grows with them for every subject alike: look at
# the ratios. Measured times are never a reason to fail; no table is. With
# ICOUNT=1 and SMP=1 a "ns" is an instruction, and the figures come out the same
# on any machine.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernel=${1:-6.12}
[ $# -eq 0 ] || shift
assignments=$("$top/scripts/stock-kernel.sh" "$kernel")
eval "$assignments"
work_dir "bench-$kernel"
log=$work/console.log
out=${BENCH_OUT:-$cache/bench-results}
mkdir -p "$out"

"$top/scripts/build-modules.sh" "$KDIR" "$work/build" bench
rm -rf "$work/modules"
mkdir "$work/modules"
find "$work/build" -name '*.ko' -exec cp {} "$work/modules/" \;
"$top/scripts/initramfs.sh" "$work/initramfs" "$top/scripts/guest-bench.sh" \
	"$work/modules:modules"

say "measuring on $RELEASE, ${SMP:-8} CPUs"
rc=0
SMP=${SMP:-8} MEM=${MEM:-2G} TIMEOUT=${TIMEOUT:-1800} "$top/scripts/vm.sh" \
	"$IMAGE" "$work/initramfs" "$log" quiet loglevel=2 log_buf_len=1M "$@" || rc=$?
sed -n 's/^bench: //p' "$log" | tr -d '\r' >"$work/lines"
grep -v '^csv: ' "$work/lines" || :
grep -qx "done" "$work/lines" || {
	tail -n 20 "$log"
	die "the measurement did not come to its end, see $log"
}
[ "$rc" -eq 0 ] || die "the machine ended with status $rc, see $log"

csv=$out/bench-$kernel.csv
{
	echo "row,subject,cpus,median_ns,lower_quartile_ns,upper_quartile_ns,ratio_to_percpu_ref"
	sed -n 's/^csv: //p' "$work/lines" | grep -v '^\(bytes\|code\),'
} >"$csv"
{
	echo "what,subject,cpus,bytes"
	sed -n 's/^csv: //p' "$work/lines" | grep '^\(bytes\|code\),'
} >"${csv%.csv}-bytes.csv"
[ "$(wc -l <"$csv")" -gt 1 ] || die "no measurements in $csv"

say "numbers: $csv"
# A curve needs two points.
awk -F, '$1 == "get+put" && $3 > 1 { found = 1 } END { exit !found }' "$csv" || exit 0

processor=$(sed -n 's/^processor: //p' "$work/lines")
if [ -n "${ICOUNT:-}" ]; then
	note="times are instructions, counted by an emulator"
else
	case $processor in
	*TCG*) note="times are an emulator's, on $(nproc) CPUs: compare curves with each other only" ;;
	*) note="in a virtual machine, on $processor" ;;
	esac
fi
"$top/scripts/plot.sh" cpus "$csv" "${csv%.csv}.svg" "Linux $RELEASE; $note"
