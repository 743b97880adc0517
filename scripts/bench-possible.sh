#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# bench-possible.sh [KERNEL]: what state changes cost with 4, 64 and 512 possible CPUs:
# three runs of bench.sh, which see to it that a "ns" is an instruction. Writes a CSV file
# and an SVG plot to bench-results/ below the cache, or to the folder $BENCH_OUT.
#
# KERNEL is 6.1, since 6.12 has no parameter possible_cpus. POSSIBLE is another list of
# numbers. ROUNDS (5) is how often each is measured. Takes a quarter of an hour or more.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernel=${1:-6.1}
work_dir "bench-possible-$kernel"
out=${BENCH_OUT:-$cache/bench-results}
csv=$out/bench-possible-$kernel.csv
mkdir -p "$out"

# So many that waiting for a grace period is a small part of what each costs.
mass=10000
echo "possible,row,subject,instructions" >"$work/csv"
for possible in ${POSSIBLE:-4 64 512}; do
	say "$possible possible CPUs"
	SMP=1 ICOUNT=1 BENCH_OUT=$work "$top/scripts/bench.sh" "$kernel" \
		"possible_cpus=$possible" bench_arg=only=init,life,kill,mass \
		"bench_arg=mass=$mass" "bench_arg=rounds=${ROUNDS:-5}"
	awk -F, -v OFS=, -v possible="$possible" -v mass="$mass" 'NR > 1 {
		print possible, $1, $2, $1 == "mass kill" ? $4 / mass : $4
	}' "$work/bench-$kernel.csv" >>"$work/csv"
done
mv "$work/csv" "$csv"
say "numbers: $csv"
"$top/scripts/plot.sh" possible "$csv" "${csv%.csv}.svg" \
	"Debian's Linux $kernel, one CPU; instructions counted by an emulator, idle time as if it were some"
