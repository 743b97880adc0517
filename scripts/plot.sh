#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# plot.sh KIND CSV SVG NOTE: draw a plot of what a benchmark has measured. KIND is
#
#   cpus      cost of a get and a put against CPUs (bench.sh)
#   threads   the same against threads (bench-native.sh)
#   possible  state changes against possible CPUs (bench-possible.sh)
#
# NOTE says in the picture where the numbers come from. The curves of pcpuref are blue,
# its plain one thick; the colours are Okabe and Ito's, which all eyes tell apart.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -eq 4 ] || die "usage: $0 cpus|threads|possible CSV SVG NOTE"
kind=$1
csv=$2
svg=$3
# It stands between quotes.
note=$(printf '%s' "$4" | sed "s/'/''/g")
need_packages gnuplot-nox
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

# style SUBJECT: how its curve is drawn
style()
{
	case $1 in
	pcpuref) echo "lc rgb '#0072b2' lw 4 pt 7 ps 0.9" ;;
	"pcpuref tasks") echo "lc rgb '#0072b2' lw 1.5 dt 2 pt 6 ps 0.8" ;;
	"pcpuref lazy") echo "lc rgb '#0072b2' lw 1.5 dt 4 pt 4 ps 0.8" ;;
	pcpuref*) echo "lc rgb '#0072b2' lw 1.5 dt 3 pt 12 ps 0.9" ;;
	kill_and_wait) echo "lc rgb '#0072b2' lw 4 pt 7 ps 0.9" ;;
	percpu_ref) echo "lc rgb '#d55e00' lw 2 pt 5 ps 0.8" ;;
	refcount_t) echo "lc rgb '#009e73' lw 1.5 pt 9 ps 0.9" ;;
	kref) echo "lc rgb '#cc79a7' lw 1.5 pt 11 ps 0.9" ;;
	atomic_long_t) echo "lc rgb '#e69f00' lw 1.5 pt 13 ps 0.9" ;;
	srcu) echo "lc rgb '#56b4e9' lw 1.5 pt 8 ps 0.8" ;;
	*) echo "lc rgb '#000000' lw 1.5 dt 3 pt 2 ps 0.7" ;;
	esac
}

# curves ROW [SUBJECT]: a plot of all subjects in the row, or of that one: pcpuref is the
# last, so that it is on top. $at is the first column of row, subject; $use what to plot.
curves()
{
	awk -F, -v at="$at" -v row="$1" -v only="${2:-}" '
	$at == row && (only == "" || $(at + 1) == only) && !seen[$(at + 1)]++ {
		if ($(at + 1) != "pcpuref")
			print $(at + 1)
		else
			last = $(at + 1)
	}
	END {
		if (last)
			print last
	}' "$csv" >"$data/subjects"
	_plots=
	while read -r _subject; do
		_file="$data/$1 $_subject"
		awk -F, -v at="$at" -v row="$1" -v subject="$_subject" \
			'$at == row && $(at + 1) == subject' "$csv" >"$_file"
		case $use in
		*:*:*) _plots="$_plots${_plots:+, }'$_file' using $use with yerrorbars notitle lc rgb '#aaaaaa' lw 1 pt 0" ;;
		esac
		_plots="$_plots${_plots:+, }'$_file' using $use with linespoints title '$_subject' $(style "$_subject")"
	done <"$data/subjects"
	[ -n "$_plots" ] || die "$csv has no row $1"
	echo "plot $_plots"
}

# ticks X: the values of that column, each with its place on the axis
ticks()
{
	awk -F, -v x="$1" 'NR > 1 && !($x in seen) {
		seen[$x] = 1
		printf "%s%s", sep, $x
		sep = ", "
	}' "$csv"
}

# range COLUMN [COLUMN]: from the least of the one to the most of the other, with room
# for the points; of the row get+put, if there is one
range()
{
	awk -F, -v from="$1" -v to="${2:-$1}" 'NR > 1 && ($1 ~ /^[0-9]/ || $1 == "get+put") {
		if (!low || $from < low)
			low = $from
		if ($to > high)
			high = $to
	}
	END {
		printf "[%g:%g]", low / 1.15, high * 1.15
	}' "$csv"
}

head="set datafile separator ','
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside right center invert samplen 3 spacing 1.2
set logscale xy
set format y '%g'"
terminal()
{
	echo "set terminal svg size $1 noenhanced font 'DejaVu Sans,12' background '#ffffff'"
	echo "set output '$svg'"
}

case $kind in
cpus | threads)
	at=1
	use=3:4:5:6
	what=$([ "$kind" = cpus ] && echo "CPUs at it" || echo "threads, each on a CPU of its own")
	{
		terminal 860,520
		echo "$head"
		echo "set bmargin 6"
		echo "set xtics ($(ticks 3))"
		echo "set xrange $(range 3)"
		echo "set yrange $(range 5 6)"
		# Two or three ticks in each decade.
		echo "set ytics (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)"
		echo "set xlabel '$what'"
		echo "set ylabel 'ns for a get and a put, on each; median and quartiles'"
		echo "set title 'A get and a put of one reference' font ',15'"
		echo "set label 1 '$note' at screen 0.02, 0.035 font ',10' textcolor rgb '#444444'"
		curves get+put
	} >"$data/commands"
	;;
possible)
	at=2
	use=1:4
	{
		terminal 1000,760
		echo "$head"
		echo "set xtics ($(ticks 1))"
		echo "set xrange $(range 1)"
		echo "set xlabel 'possible CPUs'"
		echo "set ylabel 'instructions'"
		echo "set ytics (1000, 2000, 5000, 10000, 20000, 50000, 100000)"
		echo "set label 1 '$note' at screen 0.02, 0.02 font ',10' textcolor rgb '#444444'"
		echo "set multiplot layout 2,2 title 'State changes of one reference, in instructions' font ',15' margins 0.09,0.98,0.13,0.88 spacing 0.12,0.16"
		echo "set key inside left top noinvert"
		echo "set title 'init and exit'"
		curves init+exit
		echo "unset label 1"
		echo "set title 'a life: init, kill, release, exit'"
		curves life
		echo "set title 'mass kill, for one of them'"
		curves "mass kill"
		echo "set title 'kill_and_wait, to its return (pcpuref only)'"
		curves "kill to release" kill_and_wait
		echo "unset multiplot"
	} >"$data/commands"
	;;
*)
	die "no such plot: $kind"
	;;
esac
gnuplot "$data/commands" || die "gnuplot failed"
[ -s "$svg" ] || die "gnuplot made no $svg"
say "plot: $svg"
