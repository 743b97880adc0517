#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kunit.sh [up|smp|clang] [KERNEL-PARAMETER]...: run the KUnit suites under
# User Mode Linux, on 6.12 with one CPU (up; clang: compiled by clang) or on
# 7.x with several (smp).
# A KERNEL-PARAMETER may choose tests: kunit.filter_glob=suite.case
#
# Prints the results and ends with "N passed, N failed, N skipped".
# Environment: as of vm.sh; and KUNIT_SUITES="life kill", the suites to run.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

flavour=${1:-up}
[ $# -eq 0 ] || shift
case $flavour in
up | clang) params="kunit.enable=1" ;;
smp) params="kunit.enable=1 kunit.autorun=1" ;;
*) die "no User Mode Linux $flavour here: UML= takes up or clang (6.12), or smp (7.x)" ;;
esac

assignments=$("$top/scripts/uml-kernel.sh" "$flavour")
eval "$assignments"
work_dir "kunit-$flavour"
log=$work/console.log

say "compiling the suites for User Mode Linux, $flavour"
"$top/scripts/build-modules.sh" "$KDIR" "$work/build" ARCH=um kunit
pairs=
for m in "$work"/build/*.ko; do
	pairs="$pairs $m:modules/"
done
for m in "$work"/build/kunit/*.ko; do
	[ -e "$m" ] || die "kunit/ made no module"
	pairs="$pairs $m:kunit/"
done
# shellcheck disable=SC2086 # lists of words: no blanks in the cache's path
"$top/scripts/initramfs.sh" "$work/initramfs" \
	"$top/scripts/guest-kunit.sh" $pairs

problems=0
# shellcheck disable=SC2086
"$top/scripts/uml-boot.sh" "$LINUX" "$work/initramfs" "$log" \
	loglevel=7 $params "$@" || {
	echo "error: the machine ended with status $?"
	sed -n 's/.*pcpuref-fault: /error: /p' "$log"
	problems=1
}
complaints "$log" >"$work/warnings"
sed 's/^/error: /' "$work/warnings"
problems=$((problems + $(wc -l <"$work/warnings")))

rc=0
awk -v kernel_log=1 -v problems="$problems" -v may_skip="$(may_skip "uml-$flavour")" \
	-f "$top/scripts/ktap.awk" "$log" >"$work/report" || rc=$?
[ "$rc" -eq 0 ] || echo "# the kernel's log: $log"
cat "$work/report"
exit "$rc"
