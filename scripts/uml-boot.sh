#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# uml-boot.sh LINUX INITRAMFS LOG [KERNEL-PARAMETER]...
#
# Run a User Mode Linux kernel until it powers off; its console goes to LOG.
# Exit status and environment as of vm.sh: SMP, MEM (256M), TIMEOUT, LIVE,
# VM_APPEND.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -ge 3 ] || die "usage: $0 LINUX INITRAMFS LOG [KERNEL-PARAMETER]..."
linux=$1
initramfs=$2
log=$3
shift 3

# Several CPUs need the seccomp way of running user space; a kernel that
# knows neither must not see the parameters.
smp=
if grep -q '^CONFIG_SMP=y' "${linux%/*}/.config" 2>/dev/null; then
	smp="ncpus=${SMP:-4} seccomp=on"
fi
xstate=$cache/uml-xstate-$(cksum <"$top/scripts/uml-xstate.c" | cut -d ' ' -f 1).so
if [ ! -e "$xstate" ]; then
	need_packages gcc libc6-dev
	gcc -O2 -Wall -shared -fPIC -o "$xstate.tmp.$$" "$top/scripts/uml-xstate.c" -ldl
	mv "$xstate.tmp.$$" "$xstate"
fi
# Ctrl-C has to reach the machine: by itself timeout makes a process group of its own.
# shellcheck disable=SC2086 # lists of words
set -- env LD_PRELOAD="$xstate" timeout --foreground -k 10 "${TIMEOUT:-600}" \
	"$linux" mem="${MEM:-256M}" initrd="$initramfs" con=null con0=null,fd:1 panic=-1 $smp "$@" \
	${VM_APPEND:-}

guest_run "$log" "$@"
