#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh: the selftests on Debian 12's 6.12, and KUnit under UML. Ends
# with the sum: "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_build_packages
need_packages busybox-static cpio qemu-system-x86
work_dir check

# The first time UML is compiled: the selftests, which mostly wait, are run meanwhile.
# What goes wrong here will go wrong, and be told, where the kernel is needed.
"$top/scripts/uml-kernel.sh" up >/dev/null &

# The suites of inlined clients differ from the others by code that is the same
# on each kernel: once is enough.
run()
{
	case $1 in
	selftest)
		"$top/scripts/selftest.sh" 6.12 \
			'KUNIT_WITHOUT="inline_life inline_misuse"'
		;;
	*) "$top/scripts/$1.sh" ;;
	esac
}

rc=0
for t in selftest kunit; do
	echo "== make $t"
	run "$t" >"$work/$t" || rc=1
	cat "$work/$t"
	echo
done
wait
add_up "$work/kunit" "$work/selftest" || rc=1
exit "$rc"
