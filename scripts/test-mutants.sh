#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-mutants.sh: does mutants.sh tell what is caught from what is not? A patch that
# changes a comment must survive; one that makes another case fail than it says, one that does
# not say, one that does not apply, one that applies only by guessing and one that does not
# compile are not caught; the control must fail if the suite does. And does each patch of selftests/mutants apply? Prints KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

work_dir test-mutants
mutants=$work/patches
rm -rf "$mutants"
mkdir "$mutants"

# mutant NAME SUITE FILE SED-SCRIPT
mutant()
{
	sed "$4" "$top/$3" >"$work/changed"
	{
		printf 'Breaks: %s\nCaught-by: %s\nFails: e2-tryget-slow\n\n' "$1" "$2"
		diff -u --label "a/$3" --label "b/$3" "$top/$3" "$work/changed" || :
	} >"$mutants/$1.patch"
}

# expect NAME VERDICT [WHY]: of its row, and the sum must say the same
expect()
{
	_why=
	grep -q "^$2  *$1 .*${3:-}" "$work/out" ||
		_why=$(printf 'not "%s": %s\n' "$2" "$(cat "$work/out")")
	verdict "$1" "$_why"
}

echo "KTAP version 1"
barrier='/^	smp_rmb();/d'
mutant caught litmus core/ref.h "$barrier"
mutant comment litmus core/ref.h 's,/\* The data of a reference,&,;s,/\* For reports also,/* Also for reports,'
mutant elsewhere litmus core/ref.h "$barrier"
sed -i 's/^ .*before that init.*/ 	 * These are other words than those of the code./' \
	"$mutants/elsewhere.patch"
mutant build "kunit up kref" core/kref.c 's/^#include "pcpuref_kref.h"/#error "by intent"/'
sed 's,core/ref.h,core/gone.h,g' "$mutants/caught.patch" >"$mutants/gone.patch"
sed 's/^Fails: .*/Fails: a1-kill-get/' "$mutants/caught.patch" >"$mutants/other.patch"
sed '/^Fails: /d' "$mutants/caught.patch" >"$mutants/mute.patch"
rc=0
MUTANTS=$mutants "$top/scripts/mutants.sh" >"$work/out" 2>&1 || rc=$?
expect caught caught e2-tryget-slow+nobarrier
expect comment SURVIVED
expect elsewhere error "does not apply"
expect gone error "does not apply"
expect build error
expect other other e2-tryget-slow+nobarrier
expect mute error "does not say"
verdict exit_status "$([ "$rc" -eq 1 ] || echo "it is $rc")"
# The two controls, and the one that is caught.
verdict sum "$(tail -n 1 "$work/out" | grep -v -x '3 passed, 6 failed, 0 skipped')"


# A change of the sources must not leave a mutant behind.
for p in "$top"/selftests/mutants/*.patch; do
	patch -d "$top" -p1 -F 0 --dry-run -s -f <"$p" >"$work/out" 2>&1 ||
		sed "s|^|${p##*/}: |" "$work/out"
done >"$work/do-not-apply"
verdict each_applies "$(cat "$work/do-not-apply")"

echo "1..$number"
[ "$failures" -eq 0 ]
