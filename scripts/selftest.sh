#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# selftest.sh [KERNEL] [KERNEL-PARAMETER]...: run selftests/ in a virtual
# machine with a distribution kernel: 6.12 (default), 6.1, 5.10, 7, 6.12-rt,
# 6.1-rt, 7-rt, 6.1-i386, 6.12-arm64; stock-kernel.sh says what these are;
# or with one of debug-kernel.sh: kasan, kcsan, clang.
#
# Prints the results and ends with "N passed, N failed, N skipped".
# Environment: as of vm.sh, but TIMEOUT is 1800; MODULES, the folders whose modules are
# built (all that the programs of run.sh need). The parameter
# 'SELFTESTS="a.sh b.sh"' chooses programs, 'KUNIT_SUITES="life kill"' suites of
# kunit.sh.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernel=${1:-6.12}
[ $# -eq 0 ] || shift

[ -e "$top/selftests/run.sh" ] || die "no selftests/run.sh"
case $kernel in
kasan | kcsan | clang)
	assignments=$("$top/scripts/debug-kernel.sh" "$kernel")
	RELEASE="a kernel with $kernel"
	: "${MEM:=2G}"
	export MEM
	;;
*)
	assignments=$("$top/scripts/stock-kernel.sh" "$kernel")
	;;
esac
eval "$assignments"
work_dir "selftest-$kernel"
log=$work/console.log

: "${MODULES:=samples samples/porting samples/porting/shim samples/porting/shim-kref \
	holders watch selftests/test_modules selftests/kunit}"
say "compiling modules and tests for $RELEASE"
# shellcheck disable=SC2086 # a list of words
"$top/scripts/build-modules.sh" "$KDIR" "$work/build" $MODULES
rm -rf "$work/modules" "$work/selftests"
mkdir "$work/modules"
find "$work/build" -name '*.ko' -exec cp {} "$work/modules/" \;
cp -R "$top/selftests" "$work/selftests"
cp "$top/scripts/warnings.awk" "$work/selftests/"

"$top/scripts/initramfs.sh" "$work/initramfs" \
	"$top/scripts/guest-selftest.sh" \
	"$work/modules:modules" "$work/selftests:selftests"

# Of the kernel's own lines only those of a disaster reach the console:
# anything more would tear the results apart.
status=0
TIMEOUT=${TIMEOUT:-1800} "$top/scripts/vm.sh" "$IMAGE" "$work/initramfs" "$log" quiet loglevel=2 \
	"$@" || status=$?
rc=0
judge_selftests "$kernel" "$status" "$log" "$work/ktap" "$work/report" || rc=$?
[ "$rc" -eq 0 ] || echo "# the console and the kernel's log: $log"
echo "# kernel: $RELEASE"
cat "$work/report"
exit "$rc"
