#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# vm.sh IMAGE INITRAMFS LOG [KERNEL-PARAMETER]...
#
# Boot a kernel in QEMU, until it powers off; its serial console goes to
# LOG. Exit status: that of the guest's task, or 1 if only lockdep is off; 124 if it took too long; 125
# if the guest did not come to its end.
#
# Environment: SMP (CPUs, 4), MEM (512M), TIMEOUT (seconds, 600),
# BOOT_TIMEOUT (seconds until its task has to have begun, 300),
# LIVE=1 (show what the guest's task prints while it runs),
# VM_APPEND (more kernel parameters), QEMU_ARGS (more for QEMU), ICOUNT=1 (a
# clock that goes on by one ns for each instruction, of all CPUs), THREAD=single (CPUs
# that are emulated take turns); VM_QEMU and VM_CONSOLE as stock-kernel.sh gives them.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -ge 3 ] || die "usage: $0 IMAGE INITRAMFS LOG [KERNEL-PARAMETER]..."
image=$1
initramfs=$2
log=$3
shift 3
# The package of another one is installed by what chose it.
[ -n "${VM_QEMU:-}" ] || need_packages qemu-system-x86
# QEMU 7.2 emulates cmpxchg16b with flags that are left over from other instructions, VM
# and NT among them. SLUB uses it in each kmalloc(), and an interrupt right after it
# returns to a double fault. Without CX16 the kernel does the same in software.
qemu=${VM_QEMU:-qemu-system-x86_64 -cpu max,cx16=off}
console=${VM_CONSOLE:-ttyS0}

# A /dev/kvm that is there may still not work, or not for all that a kernel
# does when it boots: only a try tells. Without a root the kernel panics, which
# ends it; one that hangs is not worth more patience. Told once for each boot of
# this machine, and each program.
kvm_works()
{
	[ -w /dev/kvm ] || return 1
	_boot=$(cat /proc/sys/kernel/random/boot_id)
	_told=$cache/kvm-${qemu%% *}-$_boot
	if [ ! -e "$_told" ]; then
		# shellcheck disable=SC2086 # a list of words
		if timeout --foreground -k 1 20 $qemu -accel kvm -m 512M \
			-smp 2 -nographic -no-reboot -nic none -monitor none \
			-serial stdio -kernel "$image" \
			-append "console=$console panic=-1" 2>/dev/null </dev/null |
			grep -q 'Kernel panic'; then
			echo yes >"$_told"
		else
			echo no >"$_told"
			say "KVM does not work here: emulating"
		fi
	fi
	[ "$(cat "$_told")" = yes ]
}

accel="-accel tcg,thread=${THREAD:-multi}"
if [ -n "${ICOUNT:-}" ]; then
	accel="-accel tcg,thread=single -icount shift=0,sleep=off"
elif kvm_works; then
	accel="-accel kvm"
fi

# CPUs that are emulated on a busy host seem to stall without being stuck: be
# patient before the kernel complains of that. The clocks seem to differ, too: the kernel
# then gives up the TSC, for which it patches code that runs (see below).
patience="rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 tsc=reliable"
# Ctrl-C has to reach the machine: by itself timeout makes a process group of its own.
# shellcheck disable=SC2086 # lists of words
set -- timeout --foreground -k 10 "${TIMEOUT:-600}" $qemu \
	$accel -smp "${SMP:-4}" -m "${MEM:-512M}" \
	-nographic -no-reboot -nic none -monitor none -serial stdio \
	-kernel "$image" -initrd "$initramfs" -pidfile "$log.pid" ${QEMU_ARGS:-} \
	-append "console=$console panic=-1 $patience $* ${VM_APPEND:-}"

# End a machine that hangs while it boots. The file is there as long as the machine.
end_if_it_hangs()
{
	_left=${BOOT_TIMEOUT:-300}
	while sleep 1 && [ -e "$log.pid" ] && ! grep -q '^pcpuref-guest: start' "$log"; do
		_left=$((_left - 1))
		[ "$_left" -gt 0 ] || {
			kill "$(cat "$log.pid")"
			break
		}
	done
}

# Emulated CPUs that run in parallel now and then trip over the code that the
# kernel patches while it boots. A guest that did not come as far as its task
# says nothing about the task: boot it again.
tries=3
while :; do
	tries=$((tries - 1))
	rc=0
	: >"$log.pid"
	# Neither an output nor a lock may stay open for it.
	end_if_it_hangs >/dev/null 2>&1 </dev/null 6>&- 9>&- &
	guest_run "$log" "$@" || rc=$?
	rm -f "$log.pid"
	if [ "$rc" -ne 125 ] || [ "$tries" -eq 0 ] ||
		grep -q '^pcpuref-guest: start' "$log"; then
		exit "$rc"
	fi
	say "the guest did not boot, trying again"
done
