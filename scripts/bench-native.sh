#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# bench-native.sh [KERNEL]: measure gets and puts on this processor, in an
# ordinary process: no root, no virtual machine. The code is what the kernel
# build makes of pcpuref.h, and of the kernel's own counts, against the headers
# of Debian's KERNEL (6.12); bench/native/main.c says how a process can run it.
#
# Prints a table, and writes it to bench-results/ below the cache or to the
# folder $BENCH_OUT, as CSV, and with two threads or more a plot. ROUNDS (100) is how
# often each subject is measured, THREADS (as many as there are CPUs) how many are at
# it at most. Fails if a subject is missing or does not count as it should, never for
# a measured time.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)

# Before anything is fetched.
[ "$(uname -sm)" = "Linux x86_64" ] || {
	echo "bench-native runs on Linux on 64-bit x86 only, this is $(uname -sm)." >&2
	echo "It needs %gs for per-CPU accesses; \"make bench\" measures in a virtual machine." >&2
	exit 2
}
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernel=${1:-6.12}
assignments=$("$top/scripts/stock-kernel.sh" "$kernel")
eval "$assignments"
work_dir "bench-native-$kernel"
build=$work/build
out=${BENCH_OUT:-$cache/bench-results}
csv=$out/bench-native-$kernel.csv
mkdir -p "$out"

rm -rf "$build"
mkdir -p "$build"
cp "$top"/bench/native/*.[chS] "$top/pcpuref.h" "$top/pcpuref_kernel.h" \
	"$top/pcpuref_kref.h" "$top/pcpuref_compat.h" "$build/"
# To the kernel build each object is a whole module, so that it gets all that a
# module's code gets; no module is made of it, so nothing is resolved.
objects="fastpath.o theirs.o ours.o tasks.o inline.o rcu.o"
cat >"$build/Kbuild" <<END
obj-m := $objects
ccflags-y := -I$build
END
# shellcheck disable=SC2086 # a list of words
make -C "$KDIR" M="$build" $objects >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	die "the kernel build does not make the objects, see $work/log"
}
# A name that the linker makes a start and an end for.
for object in $objects; do
	objcopy --rename-section .return_sites=return_sites "$build/$object"
done
# shellcheck disable=SC2086
(cd "$build" && gcc -O2 -Wall -Wextra -Werror -static -no-pie -pthread \
	-o native main.c stubs.S $objects) >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	die "the objects do not link (bench/native/stubs.S stands in for the kernel), see $work/log"
}

processor="$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
echo "processor: $processor"
rm -f "$csv"
# The status of a pipe is that of its end: keep ours aside.
rm -f "$work/rc"
{
	"$build/native" "${ROUNDS:-100}" "${THREADS:-$(nproc)}" "$csv" || echo $? >"$work/rc"
} | tee "$work/table"
[ ! -e "$work/rc" ] || die "the measurement ended with status $(cat "$work/rc")"

while read -r subject; do
	grep -q "^$subject,1,[0-9]" "$csv" || die "no measurement of $subject in $csv"
done <<END
get+put,percpu_ref
get+put,pcpuref
get+put,refcount_t
get+put,kref
get+put,atomic_long_t
get+put,pcpuref_kref
get+put,bare per-CPU
get+put,pcpuref tasks
tryget_live+put,percpu_ref
tryget_live+put,pcpuref
tryget_live+put,pcpuref tasks
tryget_live+put,kref
tryget_live+put,pcpuref_kref
atomic get+put,percpu_ref
atomic get+put,pcpuref inline
END
say "numbers: $csv"
grep -q '^get+put,pcpuref,2,' "$csv" || exit 0
note="in a process, on $processor; code as the build for Linux $RELEASE makes it"
! grep -q 'Busy machine' "$work/table" || note="$note; busy machine: shared counts look cheaper"
"$top/scripts/plot.sh" threads "$csv" "${csv%.csv}.svg" "$note"
