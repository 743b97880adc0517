#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# demo-stuck.sh [KERNEL] [KERNEL-PARAMETER]...: boot a virtual machine with a
# distribution kernel, let a client leak a reference there, and see whether the
# log names the culprit. Parameters: stuck_secs=N is the watchdog's patience,
# stuck_arg=leak=flush and the like go to the client, to see the check fail.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernel=${1:-6.12}
[ $# -eq 0 ] || shift
assignments=$("$top/scripts/stock-kernel.sh" "$kernel")
eval "$assignments"
work_dir "demo-stuck-$kernel"
log=$work/console.log

"$top/scripts/build-modules.sh" "$KDIR" "$work/build" samples holders watch \
	selftests/test_modules
rm -rf "$work/modules"
mkdir "$work/modules"
find "$work/build" -name '*.ko' -exec cp {} "$work/modules/" \;
"$top/scripts/initramfs.sh" "$work/initramfs" \
	"$top/scripts/guest-demo-stuck.sh" \
	"$work/modules:modules" "$top/samples:samples"

say "booting $RELEASE, four CPUs"
rc=0
LIVE=1 "$top/scripts/vm.sh" "$IMAGE" "$work/initramfs" "$log" \
	quiet loglevel=2 "$@" || rc=$?
# The status is the demo's, and so is the line: both, or it did not work.
grep -qx "demo-stuck: exit 0" "$log" || [ "$rc" -ne 0 ] || rc=1
[ "$rc" -eq 0 ] || say "the demo failed, see $log"
"$top/scripts/lives.sh" "$log" "Lives of the references of make demo-stuck" || rc=1
if [ "$rc" -eq 0 ]; then
	echo "1 passed, 0 failed, 0 skipped"
else
	echo "0 passed, 1 failed, 0 skipped"
fi
exit "$rc"
