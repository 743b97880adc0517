#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# demo.sh [KERNEL]: boot a virtual machine with a distribution kernel, load
# the module and the samples there, and show what happens. The lives of the
# references come as a picture, too.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernel=${1:-6.12}
[ -e "$top/samples/demo-init.sh" ] || die "no samples/demo-init.sh"
assignments=$("$top/scripts/stock-kernel.sh" "$kernel")
eval "$assignments"
work_dir "demo-$kernel"
log=$work/console.log

"$top/scripts/build-modules.sh" "$KDIR" "$work/build" holders samples
rm -rf "$work/modules"
mkdir "$work/modules"
find "$work/build" -name '*.ko' -exec cp {} "$work/modules/" \;
"$top/scripts/initramfs.sh" "$work/initramfs" "$top/scripts/guest-demo.sh" \
	"$work/modules:modules" "$top/samples:samples"

say "booting $RELEASE, four CPUs"
rc=0
LIVE=1 "$top/scripts/vm.sh" "$IMAGE" "$work/initramfs" "$log" \
	quiet loglevel=2 || rc=$?
# The status is the demo's, and so is the line: both, or it did not work.
grep -qx "demo: exit 0" "$log" || [ "$rc" -ne 0 ] || rc=1
[ "$rc" -eq 0 ] || say "the demo failed, see $log"
"$top/scripts/lives.sh" "$log" "Lives of the references of make demo" || rc=1
exit "$rc"
