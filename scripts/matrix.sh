#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# matrix.sh [CELL]...: the tests on each kernel that there is a cell for, one after the
# other; without arguments in all cells. "list" prints the cells.
#
# At the end: a table of what each suite (the outermost tests) gave in each cell, one of
# the cells with their times, and the sum, "N passed, N failed, N skipped". The time has
# the build of the modules in it and, when a kernel is used for the first time, fetching
# or compiling it. What a cell printed is kept until it is run again, with the logs of
# the machine if it failed.
#
# A cell without a result, or in which nothing passed, has failed.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

# Each line: a cell, and the script, with its arguments, that tests it. Its output ends
# with "N passed, N failed, N skipped". MATRIX_CELLS is a file with other lines, and
# MATRIX_WORK another folder, for test-matrix.sh.
cells()
{
	[ -z "${MATRIX_CELLS:-}" ] || {
		cat "$MATRIX_CELLS"
		return
	}
	cat <<-'END'
		5.10        scripts/selftest.sh 5.10
		6.1         scripts/selftest.sh 6.1
		6.12        scripts/selftest.sh 6.12
		6.1-rt      scripts/selftest.sh 6.1-rt
		6.12-rt     scripts/selftest.sh 6.12-rt
		7           scripts/selftest.sh 7
		7-rt        scripts/selftest.sh 7-rt
		6.1-i386    scripts/selftest.sh 6.1-i386
		6.12-arm64  scripts/selftest.sh 6.12-arm64
		6.12-clang  scripts/selftest.sh clang
		uml-up      scripts/kunit.sh up
		uml-smp     scripts/kunit.sh smp
		uml-clang   scripts/kunit.sh clang
		7-kasan     scripts/debug-check.sh kasan kunit selftest
		7-kcsan     scripts/debug-check.sh kcsan kunit selftest
	END
}

[ "${1:-}" != list ] || {
	cells
	exit 0
}
[ $# -gt 0 ] || {
	# shellcheck disable=SC2046 # a list of words
	set -- $(cells | awk '{ print $1 }')
}
for cell; do
	cells | awk -v cell="$cell" '$1 == cell { found = 1 } END { exit !found }' ||
		die "no such cell: $cell ($(cells | awk '{ printf "%s%s", sep, $1; sep = " " }'))"
done
work_dir "${MATRIX_WORK:-matrix}"

# run_cell CELL: its output in $dir/output, and in $dir/sum the line that it comes to.
run_cell()
{
	dir=$work/$1
	rm -rf "$dir"
	mkdir -p "$dir"
	command=$(cells | awk -v cell="$1" '$1 == cell { $1 = ""; print; exit }')
	say "$1:$command"
	started=$(date +%s)
	status=0
	# shellcheck disable=SC2086 # a list of words
	(cd "$top" && exec $command) </dev/null >"$dir/output" 2>&1 6>&- || status=$?
	echo $(($(date +%s) - started)) >"$dir/seconds"

	# A sum counts if the output ends with it, and if the script agrees with it.
	sum=$(tail -n 1 "$dir/output" |
		grep -x '[0-9]* passed, [0-9]* failed, [0-9]* skipped') || sum=
	case $sum in
	'' | "0 passed, 0 failed"*) sum="0 passed, 1 failed, 0 skipped" ;;
	*", 0 failed, "*)
		[ "$status" -eq 0 ] || sum=$(echo "$sum" | sed 's/ 0 failed/ 1 failed/')
		;;
	esac
	echo "$sum" >"$dir/sum"
	case $sum in
	*", 0 failed, "*) say "$1: $sum" ;;
	*)
		# The scripts tell where the logs of a failure are; the next run there
		# would overwrite them.
		sed -n 's/^.*[ :]\(\/[^ ]*\.log\)$/\1/p' "$dir/output" | sort -u |
			while read -r log; do
				[ ! -e "$log" ] || cp "$log" "$dir/"
			done
		say "$1: $sum: FAILED, see $dir/"
		;;
	esac
}

for cell; do
	run_cell "$cell"
done

# The tables that ktap.awk ends with, after the name of the cell.
{
	echo "cell suite passed failed skipped time"
	for cell; do
		awk -v cell="$cell" '
			/^suite +passed +failed +skipped +time$/ { table = 1; next }
			/^$/ { table = 0 }
			table && $1 == "(errors)" { print cell, $1, 0, $2, 0, "-"; next }
			table && NF >= 5 {
				name = $0
				sub(/( +[0-9]+)+ +([0-9]+s|-)$/, "", name)
				gsub(/ /, "_", name)
				print cell, name, $(NF - 3), $(NF - 2), $(NF - 1), $NF
			}' "$work/$cell/output"
	done
} >"$work/suites"
{
	echo "cell passed failed skipped time log"
	for cell; do
		dir=$work/$cell
		read -r p _ f _ s _ <"$dir/sum"
		[ "$f" = 0 ] && log=- || log=$dir/
		echo "$cell ${p%,} ${f%,} ${s%,} $(cat "$dir/seconds")s $log"
	done
} >"$work/cells"

# columns FILE: its words below each other.
columns()
{
	awk '
		NR == FNR {
			for (i = 1; i <= NF; i++)
				if (length($i) > width[i])
					width[i] = length($i)
			next
		}
		{
			line = ""
			for (i = 1; i <= NF; i++)
				line = line sprintf(($i ~ /^[0-9]+s?$/ ? "%" : "%-") \
					width[i] "s  ", $i)
			sub(/ +$/, "", line)
			print line
		}' "$1" "$1"
}

echo
columns "$work/suites"
echo
columns "$work/cells"
echo
files=
for cell; do
	files="$files $work/$cell/sum"
done
# shellcheck disable=SC2086 # a list of words: no blanks in the cache's path
add_up $files
