#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# pcpuref_watch.ko: the tables in debugfs, the history and the watchdog; and
# what the core does about a client that leaves without exit.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_watch
top=/sys/kernel/debug/pcpuref
if [ ! -d /sys/kernel/debug ] || ! grep -q ' /sys/kernel/debug ' /proc/mounts; then
	skip debugfs "not mounted"
	end pcpuref_test_watch
fi

tell()
{
	echo "$*" >"$parameters/run"
}

id_of()
{
	tell id "$1"
	cat "$parameters/id"
}

stat_of()
{
	sed -n "s,^$1  *\([0-9]*\)\$,\1,p" "$top/stats"
}

# said TEXT: lines of the slice that contain it
said()
{
	grep -cF "$1" "$tmp/slice" || :
}

# soon COMMAND...: within five seconds
soon()
{
	n=0
	while ! "$@"; do
		n=$((n + 1))
		[ "$n" -lt 50 ] || return 1
		sleep 0.1
	done
}

# --- Tables ---------------------------------------------------------------------

# One that is there already, and one that comes later.
tell init 0
tell get 0
mark
why=$(load pcpuref_watch stuck_secs=0) || :
verdict load_watch "$why"
[ -z "$why" ] || end pcpuref_test_watch
tell init 1
tell kill 1
early=$(id_of 0)
late=$(id_of 1)

why=
[ "$(stat -c %a "$top")" = 700 ] || why="the folder has mode $(stat -c %a "$top")"
for f in refs stats; do
	[ "$(stat -c %a "$top/$f")" = 400 ] || why="$why $f has mode $(stat -c %a "$top/$f")"
done
verdict root_only "$why"

why=
cat "$top/refs" >"$tmp/refs"
[ "$(wc -l <"$tmp/refs")" -eq 3 ] || why="not three lines"
awk -v id="$early" '$1 == id && $2 == "watched" && $3 == "pcpuref_test_watch" &&
	$4 == "percpu" && $5 == "live" && $6 == 2 && $8 == "-" { n++ } END { exit n != 1 }' \
	"$tmp/refs" || why="$why row 0"
# Released, not exited: dead.
soon grep -q "^ *$late .* atomic *dead *0 " "$top/refs" || why="$why row 1"
# The columns are aligned: all lines are as long as the first.
awk 'NR == 1 { n = length($0) } length($0) != n { bad = 1 } END { exit bad }' "$tmp/refs" ||
	why="$why not aligned"
verdict table "${why:+$why: 
$(cat "$top/refs")}"

why=
soon [ -e "$top/ref/$late" ] || why="no file of $late"
cat "$top/ref/$early" >"$tmp/ref" || why="no file of $early"
for line in "name *watched" "module *pcpuref_test_watch" "mode *percpu" "state *live" \
	"count *2" "shared *1" "percpu *1" \
	"initialised *do_init() at pcpuref_test_watch.c:[0-9]" \
	"release *watched_release .pcpuref_test_watch." "cpu [0-9]* *1 \*" "ms ago: init "; do
	grep -q "^ *$line" "$tmp/ref" || grep -q "$line" "$tmp/ref" || why="$why no line $line"
done
verdict detail "${why:+$why
$(cat "$tmp/ref")}"

why=
grep -q 'ms ago: kill .*caller=do_kill' "$top/ref/$late" || why="no kill"
tell exit 1
# The file may still be there, but has nothing to tell.
soon [ ! -e "$top/ref/$late" ] || why="$why the file stays"
verdict history "$why"

why=
kills=$(stat_of kills)
releases=$(stat_of releases)
tell init 2 50
tell kill 2 50
soon [ "$(stat_of kills)" -eq $((kills + 50)) ] || why="kills $(stat_of kills) after $kills"
sleep 0.3
[ "$(stat_of releases)" -eq $((releases + 50)) ] ||
	why="$why releases $(stat_of releases) after $releases"
[ "$(stat_of refs)" -eq 51 ] || why="$why refs $(stat_of refs)"
[ "$(stat_of 'mean kill to release/us')" -gt 0 ] || why="$why mean"
[ "$(stat_of 'worst kill to release/us')" -ge "$(stat_of 'mean kill to release/us')" ] ||
	why="$why worst"
[ "$(stat_of percpu_bytes)" -gt 0 ] || why="$why bytes"
tell exit 2 50
[ "$(stat_of exits)" -ge 51 ] || why="$why exits"
verdict totals "$why"

mark
echo "$early" >"$top/dump"
why=$(take_slice)
[ "$(said "dump: id=$early name=watched")" -eq 1 ] || why="$why not dumped"
[ "$(said "id=$early history: ")" -ge 1 ] || why="$why no history"
echo all >"$top/dump"
! (echo nonsense >"$top/dump") 2>/dev/null || why="$why nonsense accepted"
! (echo 99999999 >"$top/dump") 2>/dev/null || why="$why unknown id accepted"
verdict dump "$why"

# --- Many ------------------------------------------------------------------------

mark
why=
tell init 100 10000
(while [ ! -e "$tmp/stop" ]; do
	cat "$top/refs" >"$tmp/many"
	n=$(grep -c ' watched ' "$tmp/many")
	[ "$n" -eq 10001 ] || echo "the table had $n lines" >>"$tmp/wrong"
	awk '$2 == "watched" { if (seen[$1]++) { print "twice: " $0; exit } }' "$tmp/many" >>"$tmp/wrong"
	cat "$top/stats" >/dev/null
	echo round >>"$tmp/rounds"
done) &
tell churn 3000
: >"$tmp/stop"
wait
[ -s "$tmp/rounds" ] || why="the table was never read"
[ ! -s "$tmp/wrong" ] || why="$why $(head -n 3 "$tmp/wrong")"
verdict ten_thousand_in_a_loop "$why$(take_slice)"
tell exit 100 10000 2>/dev/null || :
# Exit of live references that nobody holds is legal.
soon [ "$(grep -c ' watched ' "$top/refs")" -eq 1 ] || :
verdict many_gone "$([ "$(grep -c ' watched ' "$top/refs")" -eq 1 ] || echo "some stay")"

# --- Watchdog ---------------------------------------------------------------------

mark
tell get 0
tell init 3 2
tell get 4
tell kill 4
echo 1 >/sys/module/pcpuref_watch/parameters/stuck_secs
stuck=$(id_of 4)
is_stuck="(id $stuck) of module pcpuref_test_watch is stuck"
# A slow machine may look late.
soon sh -c "dmesg | grep -qF '$is_stuck'" || :
sleep 1
why=$(take_slice)
[ "$(said "$is_stuck: killed 1 s ago by do_kill")" -eq 1 ] ||
	[ "$(said "$is_stuck: killed 2 s ago by do_kill")" -ge 1 ] || why="$why no report"
[ "$(said "dump: id=$stuck mode=atomic state=dying count=1 shared=1")" -ge 1 ] || why="$why no count"
[ "$(said "id=$stuck history: ")" -ge 2 ] || why="$why no history"
[ "$(said "is stuck")" -eq "$(said "(id $stuck) of module pcpuref_test_watch is stuck")" ] ||
	why="$why another was accused"
verdict stuck_is_reported "$why"

# At 1 s, at 2 s, at 4 s, at 8 s.
sleep 4
take_slice >"$tmp/complaints"
n=$(said "(id $stuck) of module pcpuref_test_watch is stuck")
why=$(cat "$tmp/complaints")
[ "$n" -ge 2 ] && [ "$n" -le 3 ] || why="$why $n reports in 6.5 s"
verdict back_off "$why"

tell put 4
why=
slice >"$tmp/slice"
grep -q "(id $stuck) of module pcpuref_test_watch: released after [0-9]*\.[0-9]* s (reported $n time" \
	"$tmp/slice" || why="not told: $(grep 'released after' "$tmp/slice" || :)"
[ "$(said "released after")" -eq 1 ] || why="$why of others too"
verdict released_after "$why"

# Killed, resurrected, killed again: counted from the last kill; and told.
mark
tell reinit 4
tell get 4
tell kill 4
sleep 2
tell resurrect 4
sleep 0.2
tell kill 4
echo 30 >/sys/module/pcpuref_watch/parameters/stuck_secs
sleep 1
why=$(take_slice)
[ "$(said "resurrected after")" -eq 1 ] || why="$why resurrection not told"
verdict resurrected "$why"
tell put 4
sleep 0.2

# Many at once: a few in full, and how many more.
mark
echo 0 >/sys/module/pcpuref_watch/parameters/stuck_secs
tell init 10 40
tell get 10 40
tell kill 10 40
sleep 1.2
echo 3 >/sys/module/pcpuref_watch/parameters/max_reports
echo 1 >/sys/module/pcpuref_watch/parameters/stuck_secs
sleep 0.4
echo 0 >/sys/module/pcpuref_watch/parameters/stuck_secs
why=$(take_slice)
[ "$(said "is stuck:")" -eq 3 ] || why="$why $(said "is stuck:") reports, not 3"
[ "$(said "37 more refs are stuck")" -eq 1 ] || why="$why the rest is not told"
verdict rate_limit "$why"
tell put 10 40
sleep 0.2
tell exit 10 40

# --- Coming and going ---------------------------------------------------------------

mark
why=
exec 9<"$top/refs"
! rmmod pcpuref_watch 2>/dev/null || why="unloaded under a reader"
exec 9<&-
unload pcpuref_watch >"$tmp/un" || why="$why $(cat "$tmp/un")"
[ ! -e "$top" ] || why="$why the folder stays"
load pcpuref_watch stuck_secs=1 >"$tmp/un" || why="$why $(cat "$tmp/un")"
grep -q " watched " "$top/refs" || why="$why nothing listed"
! rmmod pcpuref 2>/dev/null || why="$why core unloaded"
verdict unload_and_load "$why$(take_slice)"

# A client that is killed while it holds one, and does not put it: that is found.
mark
tell init 100 2000
(while :; do cat "$top/refs"; done) >/dev/null &
reader=$!
id=$(id_of 100)
(tell hold 100) &
client=$!
sleep 0.5
# (What can be told is locked meanwhile.)
before=$(sed -n 's/^count  *//p' "$top/ref/$id") || :
kill -9 "$client" || :
wait "$client" 2>/dev/null || :
tell kill 100
sleep 1.8
kill -9 "$reader" || :
wait 2>/dev/null || :
why=$(take_slice)
[ "$before" = 2 ] || why="$why not held: count $before"
[ "$(grep -c ' watched ' "$top/refs")" -ge 2000 ] || why="$why references are gone"
[ "$(said "ref watched (id $id) of module pcpuref_test_watch is stuck: ")" -ge 1 ] ||
	why="$why not reported"
tell put 100
verdict client_is_killed "$why$(take_slice)"

# A client that leaves without exit: some live, one dying and stuck.
mark
tell init 5000 20
tell get 5000
tell kill 5000
sleep 1.7
echo 1 >"$parameters/leave"
for _ in 1 2 3 4 5 6 7 8 9; do
	echo "pcpuref-expect: misuse: module unloaded without exit: " >/dev/kmsg
done
why=
unload pcpuref_test_watch >"$tmp/un" || why="$why $(cat "$tmp/un")"
cat "$top/refs" >"$tmp/refs"
cat "$top/stats" >/dev/null
echo all >"$top/dump"
sleep 1
why="$why$(take_slice)"
[ "$(wc -l <"$tmp/refs")" -eq 1 ] || why="$why some are still listed"
grep -q "misuse: module unloaded without exit: module=pcpuref_test_watch name=watched " "$tmp/slice" ||
	why="$why not named"
grep -q "misuse: module unloaded without exit: [0-9]* references in all" "$tmp/slice" ||
	why="$why not summed up"
verdict left_behind "$why"

mark
why=$(unload pcpuref_watch && unload pcpuref) || :
verdict unload "$why$(take_slice)"
finish
