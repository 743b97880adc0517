#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# fastpath.sh [KERNEL]: what the inline gets and puts compile to. Without
# PCPUREF_DEBUG it must be, instruction by instruction, what the header gives
# from which everything about PCPUREF_DEBUG has been removed, and what the fast
# path gives when it is written out by hand. With PCPUREF_DEBUG it must differ:
# else nothing would be compared. Ends with "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

assignments=$("$top/scripts/stock-kernel.sh" "${1:-6.12}")
eval "$assignments"
need_packages unifdef
work_dir fastpath
build=$work/build
rm -rf "$build"
mkdir -p "$build/stripped"
# unifdef's status tells whether it changed something: it must have.
rc=0
unifdef -UPCPUREF_DEBUG -o "$build/stripped/pcpuref.h" "$top/pcpuref.h" || rc=$?
[ "$rc" -eq 1 ] || die "nothing to remove from pcpuref.h: unifdef returned $rc"
cp "$top/pcpuref.h" "$top/pcpuref_kernel.h" "$top/pcpuref_debug.h" "$build/"
cp "$top/selftests/fastpath/bare.c" "$top/selftests/fastpath/bare.h" "$build/"
for variant in plain without debug; do
	cp "$top/selftests/fastpath/probe.c" "$build/$variant.c"
done
cat >"$build/Kbuild" <<END
obj-m := plain.o without.o debug.o bare.o
CFLAGS_plain.o := -I$build
CFLAGS_without.o := -I$build/stripped
CFLAGS_debug.o := -I$build -DPCPUREF_DEBUG
END
# Objects only: no module is made of them, so nothing is resolved.
make -C "$KDIR" M="$build" plain.o without.o debug.o bare.o >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	die "the probes do not build"
}

code()
{
	objdump -dr --no-show-raw-insn "$build/$1.o" | grep -v 'file format' >"$work/$1.s"
	[ "$(grep -c '<probe_[a-z_]*>:$' "$work/$1.s")" -eq 5 ] ||
		die "$1.o does not have the five probes"
}

passed=0
failed=0
skipped=0
# same A B, or differ A B
compare()
{
	if cmp -s "$work/$2.s" "$work/$3.s"; then is=same; else is=differ; fi
	if [ "$is" = "$1" ]; then
		echo "ok $2 and $3: $1"
		passed=$((passed + 1))
	else
		echo "not ok $2 and $3: $is"
		[ "$is" = same ] || diff -u "$work/$2.s" "$work/$3.s" | head -n 40
		failed=$((failed + 1))
	fi
}

for variant in plain without debug bare; do
	code "$variant"
done
compare same plain without
compare same plain bare
compare differ plain debug

# On some Intel cores a get and a put take three times as long as percpu_ref's if
# the preempt count is at an address relative to the instruction pointer.
counts=$(grep -cE '(pcpu_hot|__preempt_count)' "$work/plain.s" || :)
relative=$(grep -cE 'R_X86_64_PC32.*(pcpu_hot|__preempt_count)' "$work/plain.s" || :)
if ! grep -q '^CONFIG_PREEMPTION=y' "$KDIR/.config"; then
	echo "ok preempt count through a register # SKIP this kernel is not preemptible"
	skipped=$((skipped + 1))
elif [ "$counts" -ge 5 ] && [ "$relative" -eq 0 ]; then
	echo "ok preempt count through a register: $counts references, none relative"
	passed=$((passed + 1))
else
	echo "not ok preempt count through a register: $counts references, $relative relative"
	failed=$((failed + 1))
fi
echo "# probe_get is $(nm -S --defined-only "$build/plain.o" |
	awk '$4 == "probe_get" { print $2 }' | sed 's/^0*//') bytes (hexadecimal), on $RELEASE"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
