#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kasan.sh [kunit|selftest]...: the tests in a 7.x kernel with KASAN, lockdep,
# object debugging and kmemleak, on 4 virtual CPUs: what uses memory after it
# was freed, or never frees it, does not get past that. Without arguments both.
#
# The kernel is built once (eight minutes on two idle CPUs) and kept in the
# cache. SELFTESTS="a.sh b.sh" chooses programs of selftests/.
# Prints the results and ends with "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_build_packages
kernel_source 7

fragment="64BIT SMP PREEMPT PRINTK PRINTK_TIME TTY SERIAL_8250 SERIAL_8250_CONSOLE
ACPI PCI MULTIUSER FUTEX EPOLL POSIX_TIMERS HIGH_RES_TIMERS MODULES MODULE_UNLOAD
BLK_DEV_INITRD RD_GZIP BINFMT_ELF BINFMT_SCRIPT TMPFS SHMEM PROC_FS SYSFS DEVTMPFS
DEBUG_FS KALLSYMS KALLSYMS_ALL DYNAMIC_DEBUG FTRACE BUG DEBUG_BUGVERBOSE
HOTPLUG_CPU KUNIT KUNIT_DEBUGFS KUNIT_DEFAULT_ENABLED KUNIT_AUTORUN_ENABLED
EXPERT DEBUG_KERNEL KASAN KASAN_GENERIC KASAN_VMALLOC STACKTRACE PROVE_LOCKING
DEBUG_ATOMIC_SLEEP DEBUG_LIST DEBUG_OBJECTS DEBUG_OBJECTS_FREE DEBUG_OBJECTS_WORK
DEBUG_OBJECTS_TIMERS DEBUG_OBJECTS_RCU_HEAD DEBUG_KMEMLEAK PROVE_RCU
FAULT_INJECTION FAILSLAB FAULT_INJECTION_DEBUG_FS DETECT_HUNG_TASK"

config=$cache/kasan.config.tmp.$$
trap 'rm -f "$config"' EXIT
for o in $fragment; do
	echo "CONFIG_$o=y"
done >"$config"
echo "CONFIG_NR_CPUS=8" >>"$config"

key=$(cat "$config" "$source/.complete" | sha256sum | cut -c 1-12)
lock kasan
dir=$cache/kasan-$key
if [ ! -e "$dir/.complete" ]; then
	mkdir -p "$dir"
	cp "$config" "$dir/fragment"
	say "building a kernel with KASAN ($(cut -d ' ' -f 2 "$source/.complete")), about eight minutes on two CPUs"
	kbuild "$dir/config.log" "$dir" -C "$source" ARCH=x86_64 O="$dir" \
		KCONFIG_ALLCONFIG="$dir/fragment" allnoconfig
	while read -r line; do
		grep -qx "$line" "$dir/.config" ||
			say "  the kernel has no ${line%=*}"
	done <"$dir/fragment"
	kbuild "$dir/build.log" "$dir" -C "$source" ARCH=x86_64 O="$dir" \
		-j"$(nproc)" bzImage modules
	: >"$dir/.complete"
	for old in "$cache/kasan"-*; do
		[ "$old" = "$dir" ] || rm -rf "$old"
	done
fi
unlock

work_dir kasan
"$top/scripts/build-modules.sh" "$dir" "$work/build" \
	kunit samples selftests/test_modules holders watch
rm -rf "$work/modules" "$work/kunit" "$work/selftests"
mkdir "$work/modules" "$work/kunit"
find "$work/build" -name '*.ko' ! -path '*/kunit/*' -exec cp {} "$work/modules/" \;
cp "$work"/build/kunit/*.ko "$work/kunit/"
cp -R "$top/selftests" "$work/selftests"
cp "$top/scripts/warnings.awk" "$work/selftests/"

# boot TASK PARAMETER...: the rest of the task is in guest-kasan.sh.
boot()
{
	_task=$1
	shift
	log=$work/$_task.log
	{
		echo "export MODDIR=/modules"
		[ -z "${SELFTESTS:-}" ] || echo "export SELFTESTS=$(quote "$SELFTESTS")"
		cat "$top/scripts/guest-kasan.sh"
	} >"$work/task"
	"$top/scripts/initramfs.sh" "$work/initramfs" "$work/task" \
		"$top/scripts/guest-$_task.sh:tests" "$work/modules:modules" \
		"$work/kunit:kunit" "$work/selftests:selftests"
	problems=0
	MEM=${MEM:-2G} "$top/scripts/vm.sh" "$dir/arch/x86/boot/bzImage" \
		"$work/initramfs" "$log" log_buf_len=8M "$@" || {
		echo "error: $_task: the machine ended with status $?, see $log"
		problems=1
	}
	sed -n 's/^.*pcpuref-fault: /error: /p' "$log" >"$work/faults"
	cat "$work/faults"
	problems=$((problems + $(wc -l <"$work/faults")))
}

[ $# -gt 0 ] || set -- kunit selftest
rc=0
for task; do
	case $task in
	kunit)
		boot kunit quiet loglevel=2 kunit.enable=1 kunit.autorun=1
		# A line that the console was interrupted in is printed again:
		# only the kernel's own copy of its log has each line once.
		sed -n '/^pcpuref-dmesg: begin/,/^pcpuref-dmesg: end/p' "$log" |
			sed '/^pcpuref-/d' >"$work/dmesg"
		awk -f "$top/scripts/warnings.awk" "$work/dmesg" >"$work/warnings" || {
			sed 's/^/error: /' "$work/warnings"
			problems=$((problems + $(wc -l <"$work/warnings")))
		}
		awk -v kernel_log=1 -v problems="$problems" \
			-f "$top/scripts/ktap.awk" "$work/dmesg" \
			>"$work/$task.report" || rc=1
		;;
	selftest)
		boot selftest quiet loglevel=2
		sed -n '/^pcpuref-guest: start/,/^pcpuref-guest: exit/p' "$log" |
			sed '/^pcpuref-dmesg: begin/,/^pcpuref-dmesg: end/d;/^pcpuref-/d' \
			>"$work/ktap"
		awk -v problems="$problems" -f "$top/scripts/ktap.awk" \
			"$work/ktap" >"$work/$task.report" || rc=1
		;;
	*) die "usage: $0 [kunit|selftest]..." ;;
	esac
	echo "== $task"
	cat "$work/$task.report"
done

files=
for task; do
	files="$files $work/$task.report"
done
# shellcheck disable=SC2086 # a list of words: no blanks in the cache's path
add_up $files || rc=1
exit "$rc"
