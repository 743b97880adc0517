#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh: explore the model of the machine with spin: no error in it as it is,
# and an error in each of the ways in which it can be broken. Two minutes and 800 MB.
# Tests of memory ordering are in litmus/, see scripts/litmus.sh.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_packages spin gcc libc6-dev
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"

# What is explored in full.
right="
-DUSERS=2 -DREQUESTS=3
-DUSERS=1 -DREQUESTS=4 -DLOOKUPS=2
-DUSERS=1 -DREQUESTS=4 -DCONTROLLERS=2
-DUSERS=2 -DREQUESTS=3 -DALLOW_ZERO
-DUSERS=1 -DREQUESTS=4 -DLOOKUPS=2 -DALLOW_ZERO
-DUSERS=1 -DREQUESTS=4 -DCONTROLLERS=2 -DALLOW_ZERO
"

# What is broken, and the least in which that shows.
wrong="
BUG_BIAS_LATE -DUSERS=2 -DREQUESTS=2 -DALLOW_ZERO
BUG_CONFIRM_AT_ONCE -DUSERS=1 -DREQUESTS=2
BUG_CONFIRM_IN_FLIGHT -DUSERS=1 -DREQUESTS=2
BUG_DROP_BEFORE_CONFIRM -DUSERS=1 -DREQUESTS=2
BUG_FOLD_WITHOUT_OWN -DUSERS=1 -DREQUESTS=2 -DALLOW_ZERO
BUG_KILL_WITHOUT_INITIAL -DUSERS=1 -DREQUESTS=2 -DALLOW_ZERO
BUG_LIVE_LATE -DUSERS=1 -DREQUESTS=2
BUG_NO_CLAIM -DUSERS=1 -DREQUESTS=2
BUG_NO_GRACE_PERIOD -DUSERS=1 -DREQUESTS=2
BUG_NO_REQUEST -DUSERS=1 -DREQUESTS=2
BUG_NO_OWN -DUSERS=1 -DREQUESTS=2
BUG_NO_VISIT_AFTER_ALL -DUSERS=2 -DREQUESTS=3 -DALLOW_ZERO
BUG_OLD_ZERO -DUSERS=2 -DREQUESTS=2 -DALLOW_ZERO
BUG_REVIVE_KEEPS_INITIAL -DUSERS=1 -DREQUESTS=2 -DALLOW_ZERO
BUG_REVIVE_WITHOUT_OWN -DUSERS=1 -DREQUESTS=2 -DALLOW_ZERO
BUG_SHORT_CUT -DUSERS=1 -DREQUESTS=2
BUG_TODO_LOST -DUSERS=1 -DREQUESTS=2
BUG_TWO_ADDITIONS -DUSERS=1 -DREQUESTS=2
BUG_TWO_SECTIONS -DUSERS=1 -DREQUESTS=2
BUG_VISIT_AFTER_END -DUSERS=2 -DREQUESTS=2 -DALLOW_ZERO
BUG_VISIT_WHILE_DYING -DUSERS=2 -DREQUESTS=2 -DALLOW_ZERO
BUG_ZERO_LATE -DUSERS=1 -DREQUESTS=2
"

passed=0
failed=0

# result STATUS NAME
result()
{
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $2"
	else
		failed=$((failed + 1))
		echo "not ok $2"
		sed 's/^/# /' log report 2>/dev/null || :
	fi
}

# explore OPTIMISATION MACRO...: the verifier's report is in ./report.
explore()
{
	optimise=$1
	shift
	rm -f pan pan.* report
	spin "$@" -a "$here/machine.pml" >log 2>&1 &&
		gcc "$optimise" -DSAFETY -DCOLLAPSE -DVECTORSZ=512 -o pan pan.c >>log 2>&1 &&
		./pan -m100000 -w24 >report 2>&1
}

is_right()
{
	explore -O2 -DINVARIANTS "$@" &&
		grep -q 'errors: 0$' report &&
		! grep -q -e 'Search not completed' -e 'max search depth too small' report
}

is_wrong()
{
	# The search is shorter than the compiler's work.
	explore -O0 "$@" &&
		grep -q -e 'assertion violated' -e 'invalid end state (' report
}

# Here-documents, since a loop in a pipe is a subshell and would lose the counters.
while read -r macros; do
	[ -n "$macros" ] || continue
	status=0
	# shellcheck disable=SC2086 # a list of words
	is_right $macros || status=1
	result "$status" "machine $macros: $(sed -n 's/ *\([0-9]*\) states, stored.*/\1/p' report) states"
done <<END
$right
END

while read -r bug macros; do
	[ -n "$bug" ] || continue
	status=0
	# shellcheck disable=SC2086
	is_wrong "-D$bug" $macros || status=1
	result "$status" "finds $bug"
done <<END
$wrong
END

# The model and the list above have the same ones.
printf '%s\n' "$wrong" | sed -n 's/^\(BUG_[A-Z_]*\) .*/\1/p' | sort >here
grep -o 'BUG_[A-Z_]*[A-Z]' "$here/machine.pml" | sort -u >there
rm -f report
status=0
diff there here >log || status=1
result "$status" "looks for each BUG of the model"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
