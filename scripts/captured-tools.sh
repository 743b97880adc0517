#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# captured-tools.sh MODULES LOG DUMP-LOG: run trace-cmd and bpftrace in a machine, and drgn
# and crash on a dump of it, as debugging.rst has it. MODULES is a folder with the modules
# of pcpuref. What the machine prints goes to LOG, what is printed of the dump to DUMP-LOG.
#
# The tools are Debian's: of Debian 12, and those for the dump of Debian 13, since the older
# ones do not read it. They are unpacked in the cache, and nothing is installed. So is the
# vmlinux with debug information, for which 1 GB has to be fetched once.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -eq 3 ] || die "usage: $0 MODULES LOG DUMP-LOG"
modules=$1
log=$2
dump_log=$3
need_packages python3 xz-utils
assignments=$("$top/scripts/stock-kernel.sh" 6.12)
eval "$assignments"
work_dir captured-tools

# The kernel with its debug information, in $vmlinux. That of the modules is left out.
debug_kernel()
{
	vmlinux=$cache/vmlinux-$RELEASE
	(
		lock vmlinux
		[ ! -e "$vmlinux" ] || exit 0
		apt_tree bookworm
		rm -rf "$work/deb" "$cache"/vmlinux-*
		mkdir "$work/deb"
		say "fetching vmlinux with debug information (1 GB)"
		cd "$work/deb"
		in_tree apt-get -q download "linux-image-$RELEASE-dbg" >log 2>&1 9>&- ||
			not_fetched "$work/deb" "linux-image-$RELEASE-dbg"
		dpkg --fsys-tarfile ./*.deb |
			tar -xOf - "./usr/lib/debug/boot/vmlinux-$RELEASE" >"$vmlinux.tmp.$$"
		mv "$vmlinux.tmp.$$" "$vmlinux"
		rm -rf "$work/deb"
	) || exit 1
}

unpacked_system tools-bookworm-1 bookworm trace-cmd bpftrace
tools=$root
unpacked_system tools-trixie-1 trixie-release python3-drgn crash base-files coreutils dash
debug_kernel

rm -rf "$work/modules" "$work/vmcore" "$work"/monitor.*
cp -R "$modules" "$work/modules"
xz -dc "$MODDIR/kernel/drivers/firmware/qemu_fw_cfg.ko.xz" >"$work/modules/qemu_fw_cfg.ko"
"$top/scripts/initramfs.sh" "$work/initramfs" "$top/scripts/guest-tools.sh" \
	"$work/modules:modules" "$tools/lib:lib" "$tools/lib64:lib64" \
	"$tools/usr/bin:usr/bin" "$tools/usr/lib:usr/lib" "$tools/usr/sbin:usr/sbin"

# Through the first of these pipes QEMU is told to dump the machine, when that says so.
cd "$work"
mkfifo monitor.in monitor.out
: >"$log"
(
	until grep -qx 'pcpuref-captured: dump' "$log"; do
		sleep 1
	done
	sleep 2
	echo "dump-guest-memory vmcore" >monitor.in
) &
dumper=$!
trap 'kill "$dumper" 2>/dev/null || :' EXIT
# CPUs that are emulated in parallel trip over code that is patched while they run it, and
# the tools enable tracepoints many times: see vm.sh.
say "booting: the tools of debugging.rst"
THREAD=single MEM=1G TIMEOUT=1800 QEMU_ARGS="-device vmcoreinfo -monitor pipe:monitor" \
	"$top/scripts/vm.sh" "$IMAGE" "$work/initramfs" "$log" quiet loglevel=1 ||
	die "the machine failed, see $log"
grep -qx 'pcpuref-captured: end' "$log" || die "not all commands were run, see $log"
[ -s vmcore ] || die "QEMU has not dumped the machine"

# Beside the dump, under the names that the document has.
cp "$top/scripts/refs.py" modules/pcpuref.ko modules/pcpuref_stuck.ko .
ln -sf "$vmlinux" vmlinux

# show COMMAND: the command and its output, as a document has them
show()
{
	echo "# $1"
	in_root "$root" "$work" sh -c "cd '$work' && $1" 2>&1 || die "failed: $1"
}

# crash_does COMMAND...: the commands and what crash answers, left in "answers" too
crash_does()
{
	printf '%s\n' "mod -s pcpuref pcpuref.ko" "mod -s pcpuref_stuck pcpuref_stuck.ko" \
		"$@" quit >commands
	in_root "$root" "$work" sh -c "cd '$work' && crash -i commands vmlinux vmcore" \
		>answers 2>&1 </dev/null || die "crash failed, see $work/answers"
	# No path of the machine that the modules were built on.
	sed -n '/^crash> mod/,/^crash> quit/{
		s,\] /.*,] ...,
		p
	}' answers
}

sed -n '/^pcpuref-captured: report$/,/^pcpuref-captured: end of report$/p' "$log" >report
say "reading the dump"
{
	echo "# trace-cmd report | scripts/lives.py --svg lives.svg --json lives.json"
	"$top/scripts/lives.py" --svg lives.svg --json lives.json <report 2>&1
	grep -q '&amp;sound.ref' lives.svg || die "no lives in $work/lives.svg"
	show "drgn -q -c vmcore -s vmlinux -s pcpuref.ko -s pcpuref_stuck.ko refs.py"
	show "drgn -q -c vmcore -s vmlinux -s pcpuref.ko -s pcpuref_stuck.ko -e 'print(prog[\"leaky\"])'"
	crash_does "p registry"
	# Each address leads to the next one.
	set --
	heads=$(sed -n 's/^ *\[[0-9]*\]: /0x/p' answers)
	for head in $heads; do
		set -- "$@" "list -x -H $(python3 -c "print('%x' % ($head + 8))") -o pcpuref_data.node -s pcpuref_data.id,ref,count,live,zero,biased,site,requester"
	done
	crash_does "$@"
	crash_does "$(sed -n '/ref = .*<leaky>/,/requester = /{
		s/^ *site = 0x\([0-9a-f]*\).*/struct pcpuref_site.name,function,line \1/p
		s/^ *requester = 0x\([0-9a-f]*\).*/sym \1/p
	}' answers)"
} >"$dump_log"
rm -f vmcore initramfs
