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

# shellcheck disable=SC2317 # called by soon
stat_is()
{
	[ "$(stat_of "$1")" -eq "$2" ]
}

# watched N: the table has so many
# shellcheck disable=SC2317 # called by soon
watched()
{
	[ "$(grep -c ' watched ' "$top/refs")" -eq "$1" ]
}

# said TEXT: lines of the slice that contain it
said()
{
	grep -cF "$1" "$tmp/slice" || :
}

# backs_off TEXT LEAST: what is wrong with the times of the reports that contain it: the
# first comes after a second, the next ones 1, 2, 4 seconds after the one before, and so on.
# There are as many as there was time for, but LEAST at least.
backs_off()
{
	sed -n "s/.*$1: killed \([0-9]*\) s ago .*/\1/p" "$tmp/slice" | awk -v least="$2" '
	NR == 1 {
		due = $1 < 1 ? 1 : $1
		gap = 1
	}
	{
		ages = ages " " $1
		# Told in whole seconds, as of when the scan came by.
		early = early || $1 + (NR > 1) < due
		due += gap
		gap *= 2
	}
	END {
		if (early || NR < least)
			printf "%d reports, after these seconds:%s\n", NR, ages
	}'
}

# told TEXT: whether the log has it since the last mark
# shellcheck disable=SC2317 # called by soon()
told()
{
	slice | grep -qF "$1"
}

# told_often TEXT N: so often, or more
# shellcheck disable=SC2317 # called by soon()
told_often()
{
	[ "$(slice | grep -cF "$1")" -ge "$2" ]
}

# told_like REGEX: as told()
# shellcheck disable=SC2317 # called by soon()
told_like()
{
	slice | grep -q "$1"
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
soon stat_is kills $((kills + 50)) || why="kills $(stat_of kills) after $kills"
soon stat_is releases $((releases + 50)) ||
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
	cat "$top/refs" >"$tmp/many" || echo "the table cannot be read" >>"$tmp/wrong"
	n=$(grep -c ' watched ' "$tmp/many") || :
	[ "$n" -eq 10001 ] || echo "the table had $n lines" >>"$tmp/wrong"
	awk '$2 == "watched" { if (seen[$1]++) { print "twice: " $0; exit } }' "$tmp/many" >>"$tmp/wrong"
	cat "$top/stats" >/dev/null || echo "the totals cannot be read" >>"$tmp/wrong"
	echo round >>"$tmp/rounds"
done) &
reader=$!
tell churn 3000
: >"$tmp/stop"
wait "$reader" || why="the reader ended with status $?"
[ -s "$tmp/rounds" ] || why="$why the table was never read"
[ ! -s "$tmp/wrong" ] || why="$why $(head -n 3 "$tmp/wrong")"
verdict ten_thousand_in_a_loop "$why$(take_slice)"
tell exit 100 10000 2>/dev/null || :
# Exit of live references that nobody holds is legal.
verdict many_gone "$(soon watched 1 || echo "some stay")"

# --- Watchdog ---------------------------------------------------------------------

mark
tell get 0
tell init 3 2
tell get 4
killed=$(cut -d . -f 1 /proc/uptime)
tell kill 4
echo 1 >/sys/module/pcpuref_watch/parameters/stuck_secs
stuck=$(id_of 4)
is_stuck="(id $stuck) of module pcpuref_test_watch is stuck"
# A slow machine may look late, and then says so: the time must be right.
soon told "$is_stuck" || :
secs=$(($(cut -d . -f 1 /proc/uptime) - killed))
sleep 1
why=$(take_slice)
age=$(sed -n "s/.*$is_stuck: killed \([0-9]*\) s ago by do_kill.*/\1/p" "$tmp/slice" | head -n 1)
[ "${age:-0}" -ge 1 ] && [ "$age" -le $((secs + 1)) ] ||
	why="$why no report within $secs s: '$(grep -F "$is_stuck" "$tmp/slice" || :)'"
[ "$(said "dump: id=$stuck mode=atomic state=dying count=1 shared=1")" -ge 1 ] || why="$why no count"
[ "$(said "id=$stuck history: ")" -ge 2 ] || why="$why no history"
[ "$(said "is stuck")" -eq "$(said "(id $stuck) of module pcpuref_test_watch is stuck")" ] ||
	why="$why another was accused"
verdict stuck_is_reported "$why"

# At 1 s, at 2 s, at 4 s, at 8 s.
sleep 4
soon told_often "(id $stuck) of module pcpuref_test_watch is stuck" 2 || :
take_slice >"$tmp/complaints"
why="$(cat "$tmp/complaints")$(backs_off "(id $stuck) of module pcpuref_test_watch is stuck" 2)"
verdict back_off "$why"

tell put 4
why=
slice >"$tmp/slice"
# One more may have come since on a slow machine.
n=$(said "(id $stuck) of module pcpuref_test_watch is stuck")
grep -q "(id $stuck) of module pcpuref_test_watch: released after [0-9]*\.[0-9]* s (reported $n time" \
	"$tmp/slice" || why="not told: $(grep 'released after' "$tmp/slice" || :)"
[ "$(said "released after")" -eq 1 ] || why="$why of others too"
verdict released_after "$why"

# Killed, resurrected, killed again: counted from the last kill; and told.
mark
tell reinit 4
tell get 4
tell kill 4
soon told "$is_stuck" || :
tell resurrect 4
sleep 0.2
tell kill 4
echo 30 >/sys/module/pcpuref_watch/parameters/stuck_secs
soon told "resurrected after" || :
sleep 0.5
why=$(take_slice)
[ "$(said "resurrected after")" -eq 1 ] || why="$why resurrection not told"
[ "$(said "resurrected after 0.000 s")" -eq 0 ] || why="$why it is told without a time"
verdict resurrected "$why"
tell put 4
sleep 0.2

watch_with()
{
	echo "$2" >"/sys/module/pcpuref_watch/parameters/$1"
}

# Six hundred for one reason: one report, and how many; the oldest in full.
mark
watch_with stuck_secs 0
tell init 10
tell get 10
tell kill 10
sleep 1.1
tell init 11 599
tell get 11 599
tell kill 11 599
oldest=$(id_of 10)
sleep 1.2
watch_with stuck_secs 1
soon told "(id $oldest) of module pcpuref_test_watch is stuck" || :
sleep 0.4
why=$(take_slice)
# On a slow machine its time may have come again.
why="$why$(backs_off "is stuck" 1)"
grep -q "(id $oldest) of .* is stuck: .* count 1 (the oldest of 600 of its kind)\$" "$tmp/slice" ||
	why="$why not the oldest of 600: $(grep "is stuck:" "$tmp/slice" || :)"
lines=$(grep -c '^pcpuref' "$tmp/slice" || :)
[ "$lines" -le $(($(said "is stuck:") * 24)) ] || why="$why $lines lines"
verdict one_report_for_a_kind "$why"

# Twelve seconds: at 1, 2, 4 and 8 s.
sleep 10
soon told_often "is stuck:" 3 || :
why=$(take_slice)
n=$(said "is stuck:")
why="$why$(backs_off "is stuck" 3)"
lines=$(grep -c '^pcpuref' "$tmp/slice" || :)
[ "$lines" -le $((n * 24)) ] || why="$why $lines lines in 12 s"
diag "600 stuck references: $n reports, $lines lines in 12 s"
verdict kinds_back_off "$why"

# More of a reported kind do not start anew; when they are twice as many, that is told.
mark
tell init 700 5
tell get 700 5
tell kill 700 5
sleep 2
why=$(take_slice)
# The kind itself may be due for its next report, before these five are stuck or after.
new=$(grep 'is stuck:' "$tmp/slice" | grep -v 'the oldest of 60[0-5] of its kind' || :)
[ -z "$new" ] || why="$why five more start anew: $new"
tell init 705 700
tell get 705 700
tell kill 705 700
grown='pcpuref_watch: [0-9]* more refs are stuck, of 1 kinds already reported'
soon told_like "$grown\|the oldest of 1305 of its kind" || why="$why growth is not told"
why="$why$(take_slice)"
verdict growth_is_told "$why"

# Their end is one line.
mark
tell put 10 600
tell put 700 705
soon told "released after" || :
sleep 0.5
why=$(take_slice)
[ "$(said "released after")" -eq 1 ] || why="$why $(said "released after") ends told"
grep -q 'released after .*the last of [0-9]* of its kind' "$tmp/slice" || why="$why not how many"
verdict one_end_for_a_kind "$why"
tell exit 10 600
tell exit 700 705

# Three kinds: one in full, the others in one line, and then their turn.
mark
watch_with stuck_secs 0
tell init 10
tell get 10
tell kill 10
tell init 11
tell get 11
tell confirm 11
tell lazy 12
tell get 12
tell kill 12
sleep 1.2
watch_with stuck_secs 1
soon told "2 more refs are stuck, of 2 more kinds" || :
why=$(take_slice)
# The others may have had their turn since, on a slow machine.
n=$(sed '/2 more refs are stuck, of 2 more kinds/q' "$tmp/slice" | grep -c 'is stuck:' || :)
[ "$n" -eq 1 ] || why="$why $n reports, not 1"
[ "$(said "2 more refs are stuck, of 2 more kinds")" -eq 1 ] || why="$why the rest is not told"
for which in 'ref watched .* by do_kill+' 'ref watched .* by do_confirm+' 'ref lazy .* by do_kill+'; do
	soon told_like "$which.* and not released" || why="$why no turn for $which"
done
why="$why$(take_slice)"
verdict rate_limit "$why"
tell put 10 3
sleep 0.2
tell exit 10 3

# --- Kinds that may linger -----------------------------------------------------------

mark
tell linger 20
tell get 20
tell kill 20
tell lazy 21
tell get 21
tell kill 21
watch_with linger 'none,la*'
sleep 2
why=
soon stat_is lingering 2 || why="lingering $(stat_of lingering)"
why="$why$(take_slice)"
[ "$(said "is stuck:")" -eq 0 ] || why="$why reported: $(grep "is stuck:" "$tmp/slice")"
grep -q ' lingers .* dying ' "$top/refs" || why="$why not in the table"
[ "$(cat /sys/module/pcpuref_watch/parameters/linger)" = 'none,la*' ] || why="$why not read back"
watch_with linger 'lazy*er,lazier,laz'
soon told_like "ref lazy .* is stuck:" || :
sleep 0.5
why="$why$(take_slice)"
grep -q "ref lazy .* is stuck:" "$tmp/slice" || why="$why the others are never reported"
! grep -q "ref lingers .* is stuck:" "$tmp/slice" || why="$why the flag is not heeded"
watch_with linger lazy
soon stat_is lingering 2 || why="$why not by its whole name"
verdict may_linger "$why"
tell put 20 2
sleep 0.2
tell exit 20 2
watch_with linger ''

# --- Misuse has made the count stick ------------------------------------------------

mark
echo "pcpuref-expect: misuse: put without a reference: name=counted" >/dev/kmsg
tell counted 30
tell put 30
sleep 0.2
tell kill 30
stuck=$(id_of 30)
soon told "dump: id=$stuck stuck since" || :
why=$(take_slice)
grep -q "^pcpuref: ref counted (id $stuck) of module pcpuref_test_watch will never be released: put without a reference by do_put+.* has made its count stick [0-9]* ms ago; killed by do_kill+" \
	"$tmp/slice" || why="$why not told at the kill"
grep -q "(id $stuck) of module pcpuref_test_watch is stuck: .* will never be released, because of misuse: put without a reference" \
	"$tmp/slice" || why="$why not told by the watchdog"
grep -q "dump: id=$stuck stuck since [0-9]* ms: put without a reference by do_put+" "$tmp/slice" ||
	why="$why not in the dump"
grep -q "dump: id=$stuck .* state=stuck count=? bytes=" "$tmp/slice" || why="$why what a count"
awk -v id="$stuck" '$1 == id && $5 == "stuck" && $6 == "?" { n++ } END { exit n != 1 }' \
	"$top/refs" || why="$why not in the table: $(grep counted "$top/refs" || :)"
! grep -q 922337203685477 "$tmp/slice" "$top/refs" "$top/ref/$stuck" || why="$why a number that means nothing"
verdict hopeless_is_told "$why"
tell exit 30

# --- A release that does not return ---------------------------------------------------

mark
tell slow 31
slow=$(id_of 31)
# Of what is killed before a scan has seen it, the task is not known.
soon [ -e "$top/ref/$slow" ] || :
killed=$(cut -d . -f 1 /proc/uptime)
tell kill 31
soon grep -q " $slow .* releasing " "$top/refs" || :
why=
grep -q " $slow .* releasing  *0 " "$top/refs" || why="not in the table: $(grep slow "$top/refs" || :)"
soon told " slow_release+0x" || :
secs=$(($(cut -d . -f 1 /proc/uptime) - killed))
sleep 0.5
why="$why$(take_slice)"
age=$(sed -n "s/.*(id $slow) of module pcpuref_test_watch is stuck: release slow_release .* has not returned for \([0-9]*\) s.*/\1/p" \
	"$tmp/slice" | head -n 1)
[ "${age:-0}" -ge 1 ] && [ "$age" -le $((secs + 1)) ] ||
	why="$why not told within $secs s: '$(grep 'has not returned' "$tmp/slice" || :)'"
grep -q "id=$slow: it was called by task kworker/.*, whose stack follows" "$tmp/slice" ||
	why="$why no task"
grep -q " slow_release+0x" "$tmp/slice" || why="$why no stack"
tell go 0
soon told "(id $slow): release has returned" || why="$why its end is not told"
why="$why$(take_slice)"
soon grep -q " $slow .* dead  *0 " "$top/refs" || why="$why not dead: $(grep slow "$top/refs" || :)"
verdict release_does_not_return "$why"
tell exit 31

# --- Who had it initialised ------------------------------------------------------------

mark
watch_with stuck_secs 0
tell tea 32
tell coffee 33
tell get 32 2
tell kill 32 2
tea=$(id_of 32)
coffee=$(id_of 33)
soon [ -e "$top/ref/$coffee" ] || :
sleep 1.2
watch_with max_reports 2
watch_with stuck_secs 1
soon told "id=$tea initialised by way of" || :
soon told "id=$coffee initialised by way of" || :
why=$(take_slice)
grep -q '^by way of .*do_tea+' "$top/ref/$tea" || why="$why tea is not in ref/"
grep -q '^by way of .*do_coffee+' "$top/ref/$coffee" || why="$why coffee is not in ref/"
grep -q "id=$tea initialised by way of do_tea+" "$tmp/slice" || why="$why tea is not told"
grep -q "id=$coffee initialised by way of do_coffee+" "$tmp/slice" || why="$why coffee is not told"
# Each may be told a second time on a slow machine.
kinds=$(sed -n 's/.*(id \([0-9]*\)) of .* is stuck:.*/\1/p' "$tmp/slice" | sort -u | grep -c '')
[ "$kinds" -eq 2 ] || why="$why $kinds kinds, not 2"
verdict caller_of_init "$why"
watch_with max_reports 1
watch_with stuck_secs 0
tell put 32 2
sleep 0.2
tell exit 32 2

# --- One fault of many -------------------------------------------------------------------

mark
echo "pcpuref-expect: misuse: put without a reference: name=watched" >/dev/kmsg
echo 1 >/sys/module/pcpuref/parameters/report_anew
tell init 2000 300
tell kill 2000 300
tell wait 2000 300
tell put 2000 300
why=$(take_slice)
for n in 10 100; do
	[ "$(said "pcpuref: misused $n times, reported once: put without a reference: caller=do_put")" -eq 1 ] ||
		why="$why not counted to $n"
done
# The end of a stack is the same on each processor; "Call Trace:" is not.
[ "$(said "[ end trace ")" -eq 1 ] || why="$why $(said "[ end trace ") stacks"
verdict one_misuse_of_many "$why"
mark
echo "pcpuref-expect: misuse: put without a reference: name=watched" >/dev/kmsg
echo 1 >/sys/module/pcpuref/parameters/report_anew
tell init 2300
tell kill 2300
tell wait 2300
tell put 2300
verdict misuse_is_reported_anew "$(take_slice)"
tell exit 2000 301

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
# (What can be told is locked meanwhile.)
why=
soon grep -q '^count  *2$' "$top/ref/$id" || why="not held"
kill -9 "$client" || :
wait "$client" 2>/dev/null || :
tell kill 100
soon told "ref watched (id $id) of module pcpuref_test_watch is stuck: " || :
kill -9 "$reader" || :
wait 2>/dev/null || :
why="$why$(take_slice)"
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
