#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-steps.sh: does steps.sh count what its commands say, and fail when one does? Prints
# KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

good='echo "3 passed, 0 failed, 1 skipped"'

# steps NAME STATUS SUM LIST [OPTION]
steps()
{
	name=$1 status=$2 sum=$3 list=$4
	shift 4
	why="" rc=0
	said=$(printf '%s\n' "$list" | "$top/scripts/steps.sh" "$@" 2>&1) || rc=$?
	[ "$rc" -eq "$status" ] || why="status $rc, not $status"
	[ "$(echo "$said" | tail -n 1)" = "$sum" ] || why="$why
the sum is not '$sum':
$said"
	verdict "$name" "$why"
}

steps sums_up 0 "7 passed, 0 failed, 2 skipped" "$good
# a comment
counts 1: true
$good"
steps failure_stops 1 "0 passed, 1 failed, 0 skipped" "false
$good"
steps failure_goes_on 1 "3 passed, 1 failed, 1 skipped" "counts 1: false
$good" -k
steps status_counts 1 "3 passed, 1 failed, 1 skipped" "$good; false"
steps no_sum_fails 1 "0 passed, 1 failed, 0 skipped" "echo all is well"
steps nothing_passed_fails 1 "0 passed, 1 failed, 2 skipped" 'echo "0 passed, 0 failed, 2 skipped"'
steps failed_tests_fail 1 "2 passed, 1 failed, 0 skipped" 'echo "2 passed, 1 failed, 0 skipped"'
steps nothing_fails 1 "0 passed, 0 failed, 0 skipped" ""

# What runs beside the steps: it has to have run, and has to be gone at the end.
work_dir steps
beside="echo \$\$ >'$work/pid'; mv '$work/pid' '$work/begun'; while :; do sleep 1; done"
begun="until [ -e '$work/begun' ]; do sleep 0.1; done"
for last in "$begun; $good" "$begun; false"; do
	rm -f "$work/begun"
	case $last in
	*false) rc=1 sum="0 passed, 1 failed, 0 skipped" ;;
	*) rc=0 sum="3 passed, 0 failed, 1 skipped" ;;
	esac
	steps "meanwhile_$rc" "$rc" "$sum" "meanwhile: $beside
$last"
	if [ ! -e "$work/begun" ]; then
		why="it did not run"
	elif kill -0 "$(cat "$work/begun")" 2>/dev/null; then
		why="it still runs"
	fi
	verdict "meanwhile_ends_$rc" "$why"
done
echo "1..$number"
echo "$((number - failures)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
