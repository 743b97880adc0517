#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# debug-kernel.sh kasan|kcsan|clang: a kernel that looks for mistakes, for QEMU.
#
#   kasan  memory that is used after its end or never freed, order of locks, sleeping
#          where that is not allowed, objects in the wrong state; allocations can be
#          made to fail
#   kcsan  accesses that race, strict: each plain one counts
#   clang  compiled by clang; of 6.12, since this clang is too old for newer ones. It looks
#          for what both of the others look for
#
# Prints shell assignments: KDIR, what modules are built against, IMAGE, and BUILD_VARS for
# build-modules.sh. Built once (eight minutes on two idle CPUs), kept in the cache.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

flavour=${1:-}
name=$flavour
compiler=
case $flavour in
kasan | kcsan)
	series=7
	autorun=KUNIT_AUTORUN_ENABLED
	;;
clang)
	series=6.12
	# Not there yet.
	autorun=
	need_packages clang
	compiler=CC=clang
	# The headers for clang alone are "clang", see static.sh.
	name=x86-clang
	;;
*) die "no such debug kernel: '$flavour' (kasan, kcsan, clang)" ;;
esac

need_build_packages
kernel_source "$series"

# First what the boot, the tests and their scripts need, then what all look for.
fragment="64BIT SMP PREEMPT PRINTK PRINTK_TIME TTY SERIAL_8250 SERIAL_8250_CONSOLE
ACPI PCI MULTIUSER FUTEX EPOLL POSIX_TIMERS HIGH_RES_TIMERS MODULES MODULE_UNLOAD
BLK_DEV_INITRD RD_GZIP BINFMT_ELF BINFMT_SCRIPT TMPFS SHMEM PROC_FS SYSFS SYSCTL DEVTMPFS
DEBUG_FS KALLSYMS KALLSYMS_ALL DYNAMIC_DEBUG FTRACE ENABLE_DEFAULT_TRACERS BUG
DEBUG_BUGVERBOSE STACKTRACE HOTPLUG_CPU VM_EVENT_COUNTERS
KUNIT KUNIT_DEBUGFS KUNIT_DEFAULT_ENABLED $autorun
EXPERT DEBUG_KERNEL PROVE_LOCKING PROVE_RCU DEBUG_ATOMIC_SLEEP DEBUG_PREEMPT
DEBUG_LIST DETECT_HUNG_TASK UBSAN UBSAN_BOUNDS UBSAN_SHIFT"
case $flavour in
kasan)
	fragment="$fragment UBSAN_BOOL UBSAN_ENUM KASAN KASAN_GENERIC KASAN_VMALLOC DEBUG_OBJECTS
DEBUG_OBJECTS_FREE DEBUG_OBJECTS_WORK DEBUG_OBJECTS_TIMERS DEBUG_OBJECTS_RCU_HEAD
DEBUG_KMEMLEAK FAULT_INJECTION FAILSLAB FAIL_PAGE_ALLOC FAULT_INJECTION_DEBUG_FS"
	values="NR_CPUS=8"
	;;
kcsan)
	# Without the last three it is built in, but sees next to nothing. With UBSAN_BOOL or
	# UBSAN_ENUM gcc makes a plain read of each READ_ONCE() of a bool: no race, but told.
	# The larger frames are for the kernel itself: no module of ours has one above 2048 bytes.
	fragment="$fragment UBSAN_BOOL=n UBSAN_ENUM=n KCSAN KCSAN_STRICT KCSAN_VERBOSE
KCSAN_SELFTEST KCSAN_DELAY_RANDOMIZE KCSAN_SKIP_WATCH_RANDOMIZE
KCSAN_EARLY_ENABLE KCSAN_WEAK_MEMORY KCSAN_REPORT_RACE_UNKNOWN_ORIGIN"
	values="NR_CPUS=8 KCSAN_REPORT_ONCE_IN_MS=0 FRAME_WARN=4096"
	;;
clang)
	# In 6.12 this is what selects SYSCTL.
	fragment="$fragment PROC_SYSCTL"
	values="NR_CPUS=8"
	;;
esac

built_kernel "$name" "a kernel with $flavour (about eight minutes on two CPUs)" \
	"$fragment $values" "ARCH=x86_64 $compiler" bzImage modules

echo "KDIR=$(quote "$dir")"
echo "IMAGE=$(quote "$dir/arch/x86/boot/bzImage")"
echo "export BUILD_VARS=$(quote "$compiler")"
