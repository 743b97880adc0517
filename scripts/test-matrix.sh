#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-matrix.sh: matrix.sh tells cells that fail from those that pass, whatever way they
# fail in, and says which they are. Prints KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"
work_dir test-matrix
MATRIX_CELLS=$work/table
MATRIX_WORK=test-matrix-cells
export MATRIX_CELLS MATRIX_WORK

# The table of a report, and the line that it ends with.
suites()
{
	printf '\n%s\n' "suite      passed  failed  skipped  time"
	for _s; do
		echo "$_s"
	done
	echo
}

# cell NAME STATUS: a cell that prints stdin
cell()
{
	cat >"$work/$1.out"
	printf '%s\n' "#!/bin/sh" "cat '$work/$1.out'" "exit $2" >"$work/$1.sh"
	chmod +x "$work/$1.sh"
	echo "$1 $work/$1.sh argument" >>"$work/table"
}

: >"$work/table"
{
	suites "load            5       0        0   31s" "watch           7       0        2     -"
	echo "12 passed, 0 failed, 2 skipped"
} | cell good 0
echo "what the machine said" >"$work/machine.log"
{
	echo "# the console and the kernel's log: $work/machine.log"
	suites "load            4       1        0    5s"
	echo "4 passed, 1 failed, 0 skipped"
} | cell fails 1
{
	suites "load            5       0        0    5s"
	echo "5 passed, 0 failed, 0 skipped"
} | cell lies 3
echo "cannot build" | cell silent 0
{
	echo "5 passed, 0 failed, 0 skipped"
	echo "and then it died"
} | cell dies 0
{
	suites "load            0       0        5    0s"
	echo "0 passed, 0 failed, 5 skipped"
} | cell skips 0

# expect NAME CELLS STATUS LINE...: the run of these cells ends with that status, and
# prints the lines, extended regular expressions, the last one at the end.
expect()
{
	_name=$1
	_status=$3
	_why=
	_rc=0
	# shellcheck disable=SC2086 # a list of words
	"$top/scripts/matrix.sh" $2 >"$work/out" 2>&1 6>&- || _rc=$?
	shift 3
	[ "$_rc" -eq "$_status" ] || _why="exit status $_rc"
	for _l; do
		grep -qxE "$_l" "$work/out" || _why="$_why
no line $_l"
	done
	tail -n 1 "$work/out" | grep -qxE "$_l" || _why="$_why
the end is not $_l"
	[ -z "$_why" ] || _why="$_why
$(cat "$work/out")"
	verdict "$_name" "$_why"
}

# The tables of suites and of cells, both with the time.
expect passes good 0 \
	'good +load +5 +0 +0 +31s' 'good +watch +7 +0 +2 +-' 'good +12 +0 +2 +[0-9]+s +-' \
	'12 passed, 0 failed, 2 skipped'
expect failing_test "good fails" 1 \
	'good +12 +0 +2 +[0-9]+s +-' 'fails +load +4 +1 +0 +5s' 'fails +4 +1 +0 +[0-9]+s +/.*/fails/' \
	'pcpuref: fails: 4 passed, 1 failed, 0 skipped: FAILED, see /.*/fails/' \
	'16 passed, 1 failed, 2 skipped'
why=
log=$(sed -n 's/^fails .*s  *\(\/.*\)$/\1/p' "$work/out")
cmp -s "$log/machine.log" "$work/machine.log" || why="no machine.log of the failed cell in '$log'"
verdict keeps_the_log "$why"
expect status_without_a_failure "good lies" 1 \
	'lies +5 +1 +0 +[0-9]+s +/.*' '17 passed, 1 failed, 2 skipped'
expect no_result "good silent" 1 \
	'silent +0 +1 +0 +[0-9]+s +/.*' '12 passed, 1 failed, 2 skipped'
expect result_is_not_the_end "good dies" 1 \
	'dies +0 +1 +0 +[0-9]+s +/.*' '12 passed, 1 failed, 2 skipped'
expect nothing_passed "good skips" 1 \
	'skips +load +0 +0 +5 +0s' 'skips +0 +1 +0 +[0-9]+s +/.*' '12 passed, 1 failed, 2 skipped'
expect all_cells "" 1 '21 passed, 5 failed, 2 skipped'
expect no_such_cell "good bad" 1 'pcpuref: error: no such cell: bad \(good fails .*\)'

echo "1..$number"
[ "$failures" -eq 0 ]
