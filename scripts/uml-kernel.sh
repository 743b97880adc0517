#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# uml-kernel.sh up|smp: a User Mode Linux kernel to run KUnit in.
#
#   up   6.12, one CPU: starts in a fraction of a second
#   smp  7.x, several CPUs that really run in parallel
#
# Prints shell assignments: KDIR, what modules are built against, and
# LINUX, the program. Built once, kept in the cache.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/scripts/lib.sh"

flavour=${1:-up}
case $flavour in
up) series=6.12 ;;
smp) series=7 ;;
*) die "no User Mode Linux $flavour here: UML= takes up (6.12) or smp (7.x)" ;;
esac

need_build_packages
kernel_source "$series"

# First what KUnit, modules and the boot need; then what makes a test
# strict: lock order, sleeping in atomic context, reuse of live objects.
fragment="64BIT KUNIT KUNIT_DEBUGFS DEBUG_FS MODULES MODULE_UNLOAD
BLK_DEV_INITRD RD_GZIP BINFMT_ELF BINFMT_SCRIPT TMPFS PROC_FS SYSFS DEVTMPFS
HOSTFS PRINTK PRINTK_TIME KALLSYMS KALLSYMS_ALL DYNAMIC_DEBUG FTRACE
STDERR_CONSOLE NULL_CHAN
DEBUG_KERNEL PROVE_LOCKING DEBUG_ATOMIC_SLEEP DEBUG_LIST DEBUG_OBJECTS
DEBUG_OBJECTS_FREE DEBUG_OBJECTS_RCU_HEAD DEBUG_OBJECTS_WORK
DEBUG_OBJECTS_TIMERS DETECT_HUNG_TASK"
[ "$flavour" = up ] || fragment="$fragment SMP KUNIT_DEFAULT_ENABLED
KUNIT_AUTORUN_ENABLED PREEMPT DEBUG_PREEMPT"

config=$cache/uml-$flavour.config.tmp.$$
trap 'rm -f "$config"' EXIT
for o in $fragment; do
	echo "CONFIG_$o=y"
done >"$config"
[ "$flavour" = up ] || echo "CONFIG_NR_CPUS=16" >>"$config"

key=$(cat "$config" "$source/.complete" | sha256sum | cut -c 1-12)
lock "uml-$flavour"
dir=$cache/uml-$flavour-$key
if [ ! -e "$dir/.complete" ]; then
	# An interrupted build is taken up where it stopped; only the stamp
	# makes it a finished one.
	mkdir -p "$dir"
	cp "$config" "$dir/fragment"
	say "building UML ($flavour, $(cut -d ' ' -f 2 "$source/.complete")), about four minutes on two CPUs"
	kbuild "$dir/config.log" "$dir" -C "$source" ARCH=um O="$dir" \
		KCONFIG_ALLCONFIG="$dir/fragment" allnoconfig
	while read -r line; do
		grep -qx "$line" "$dir/.config" ||
			say "  the kernel has no ${line%=*}"
	done <"$dir/fragment"
	kbuild "$dir/build.log" "$dir" -C "$source" ARCH=um O="$dir" \
		-j"$(nproc)"
	[ -x "$dir/linux" ] || die "no UML program, see $dir/build.log"
	: >"$dir/.complete"
	for old in "$cache/uml-$flavour"-*; do
		[ "$old" = "$dir" ] || rm -rf "$old"
	done
fi
unlock

echo "KDIR=$(quote "$dir")"
echo "LINUX=$(quote "$dir/linux")"
