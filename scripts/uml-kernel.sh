#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# uml-kernel.sh up|smp|clang: a User Mode Linux kernel to run KUnit in.
#
#   up     6.12, one CPU: starts in a fraction of a second
#   smp    7.x, several CPUs that really run in parallel
#   clang  6.12 as "up", compiled by clang, and so are its modules, with more
#          warnings (7.x takes no clang as old as Debian 12's)
#
# Prints shell assignments: KDIR, what modules are built against, LINUX,
# the program, and BUILD_VARS, exported for build-modules.sh. Built once,
# kept in the cache.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/scripts/lib.sh"

flavour=${1:-up}
compiler=
build_vars=
case $flavour in
up) series=6.12 ;;
smp) series=7 ;;
clang)
	series=6.12
	need_packages clang
	compiler="CC=clang HOSTCC=clang"
	# The one that the kernel's own headers do not pass.
	build_vars="$compiler W=1 KCFLAGS=-Wno-null-pointer-arithmetic"
	;;
*) die "no User Mode Linux $flavour here: UML= takes up or clang (6.12), or smp (7.x)" ;;
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
case $flavour in
smp)
	fragment="$fragment SMP KUNIT_DEFAULT_ENABLED
KUNIT_AUTORUN_ENABLED PREEMPT DEBUG_PREEMPT NR_CPUS=16"
	;;
*)
	# With EXPERT what is not named is left out, which saves a sixth of the time to compile.
	fragment="$fragment EXPERT SHMEM MULTIUSER FUTEX EPOLL
POSIX_TIMERS SYSCTL PROC_SYSCTL BUG DEBUG_BUGVERBOSE SLUB_DEBUG DEBUG_MEMORY_INIT
VM_EVENT_COUNTERS NO_IOMEM LD_SCRIPT_DYN_RPATH"
	;;
esac

built_kernel "uml-$flavour" "UML, $flavour (about four minutes on two CPUs)" "$fragment" \
	"ARCH=um $compiler"
[ -x "$dir/linux" ] || die "no UML program, see $dir/build.log"

echo "KDIR=$(quote "$dir")"
echo "LINUX=$(quote "$dir/linux")"
echo "export BUILD_VARS=$(quote "$build_vars")"
