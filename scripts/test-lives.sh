#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-lives.sh: does lives.py draw what is in the log? Fixed logs go in, and lanes,
# marks and spans have to come out. Prints KTAP.

set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
failures=0

# draw LOG [OPTION]...: leaves the files, and what was told, in $work.
draw()
{
	rm -f "$work/svg" "$work/json"
	rc=0
	"$scripts/lives.py" --svg "$work/svg" --json "$work/json" "$@" >"$work/told" 2>&1 || rc=$?
}

# What the files say, in words: a line for each lane, with its marks and what stands at
# its right; a line for each thread, with its spans and marks.
words()
{
	python3 - "$work/svg" "$work/json" <<'END'
import json
import re
import sys
import xml.etree.ElementTree as tree

NS = "{http://www.w3.org/2000/svg}"
svg = tree.parse(sys.argv[1]).getroot()
RIGHT_EDGE = 1045
for lane in svg.iter(NS + "g"):
    if not lane.get("class", "").startswith("lane"):
        continue
    texts = [text.text for text in lane.findall(NS + "text")]
    boxes = []
    for group in lane.findall(NS + "g"):
        boxes += sorted(((float(text.get("x")), text.text) for text in group.iter(NS + "text")))
    places = [x for x, _ in boxes]
    if places != sorted(places) or any(b - a < 11.9 for a, b in zip(places, places[1:])):
        print("marks overlap:", boxes)
    sums = {}
    for _, text in boxes:
        sums[text[-1]] = sums.get(text[-1], 0) + int(text[:-1] or 1)
    print("sums |", texts[0], "|", sums)
    bars = "".join(path.get("d") for path in lane.findall(NS + "path"))
    ends = [float(x) + float(w) for x, w in re.findall(r"M([\d.]+) [\d.]+h([\d.]+)v", bars)]
    edge = "to the edge" if ends and max(ends) > RIGHT_EDGE - 0.5 else "ends"
    print(lane.get("class"), "|", texts[0], "|", texts[1], "|",
          " ".join(text for _, text in boxes), "|", edge, "|", "; ".join(texts[2:]))
for text in svg.findall(NS + "text"):
    if text.get("fill") == "#d55e00":
        print("alarm |", text.text)

# Perfetto wants a number for ts and dur, a phase, and spans of a thread nested.
events = json.load(open(sys.argv[2]))["traceEvents"]
names = {}
threads = {}
for event in events:
    for key in ("ph", "pid", "tid", "name"):
        assert key in event, event
    assert event["ph"] in "MXi", event
    if event["ph"] == "M":
        assert "args" in event, event
        if event["name"] == "thread_name":
            names[event["tid"]] = event["args"]["name"]
        continue
    assert isinstance(event["ts"], (int, float)) and event["ts"] >= 0, event
    if event["ph"] == "X":
        assert event["dur"] >= 0, event
    else:
        assert event["s"] == "t", event
    threads.setdefault(event["tid"], []).append(event)
for tid, those in sorted(threads.items()):
    open_spans = []
    spans = [event for event in those if event["ph"] == "X"]
    for event in sorted(spans, key=lambda event: (event["ts"], -event["dur"])):
        while open_spans and open_spans[-1] <= event["ts"]:
            open_spans.pop()
        assert not open_spans or event["ts"] + event["dur"] <= open_spans[-1] + 0.002, event
        open_spans.append(event["ts"] + event["dur"])
    print("thread |", names[tid], "|", " ".join(
        f"{event['name']}:{event['ts'] / 1e3:g}+{event['dur'] / 1e3:g}" for event in spans
        if event["cat"] != "life"), "|",
          " ".join(event["name"] for event in those if event["ph"] == "i"))
END
}

# check NAME STATUS: stdin is what must be in the words, or in what was told, a line each.
check()
{
	_ok=ok
	if [ "$rc" -ne "$2" ]; then
		_ok="not ok"
		echo "# exit status $rc, not $2"
	fi
	: >"$work/words"
	if [ -e "$work/svg" ]; then
		words >"$work/words" 2>&1 || _ok="not ok"
	fi
	! grep 'marks overlap' "$work/words" || _ok="not ok"
	while read -r _line; do
		grep -qF -e "$_line" "$work/words" "$work/told" || {
			_ok="not ok"
			echo "# missing: $_line"
		}
	done
	if [ "$_ok" != ok ]; then
		failures=$((failures + 1))
		sed 's/^/# /' "$work/words" "$work/told" | cut -c 1-300
	fi
	number=$((number + 1))
	echo "$_ok $number $1"
}

# One that is resurrected, killed, released, reinitialised and exits; one that is not
# released; a line that is none of an event in between.
cat >"$work/two" <<'END'
[   10.000000] pcpuref: event=init name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=none->percpu count=1 shared=1 percpu=0 since_kill=-1us
[   10.000000] pcpuref: event=init name=one <b> id=5 ref=00000000a3154101 release=b_release [b] mode=none->percpu count=1 shared=1 percpu=0 since_kill=-1us
[   11.000000] pcpuref: event=kill name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=percpu->switching count=2 shared=1 percpu=1 since_kill=4us
[   11.500000] pcpuref: event=resurrect name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=switching->switching count=2 shared=2 percpu=0 since_kill=-1us
[   12.000000] pcpuref: event=switch name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=switching->atomic count=2 shared=2 percpu=0 since_kill=-1us
[   12.000001] pcpuref: event=confirm name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=atomic->atomic count=2 shared=2 percpu=0 since_kill=-1us
[   12.000002] pcpuref: event=switch name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=atomic->percpu count=2 shared=2 percpu=0 since_kill=-1us
[   13.000000] pcpuref: event=kill name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=percpu->switching count=1 shared=1 percpu=0 since_kill=4us
[   13.000000] pcpuref: event=kill name=one <b> id=5 ref=00000000a3154101 release=b_release [b] mode=percpu->switching count=4 shared=1 percpu=3 since_kill=4us
[   13.100000] pcpuref: event=switch name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=switching->atomic count=1 shared=1 percpu=0 since_kill=100000us
[   13.100000] pcpuref: event=switch name=one <b> id=5 ref=00000000a3154101 release=b_release [b] mode=switching->atomic count=3 shared=3 percpu=0 since_kill=100000us
[   13.100001] pcpuref: event=confirm name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=atomic->atomic count=1 shared=1 percpu=0 since_kill=100001us
[   13.100002] pcpuref: event=release name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=atomic->atomic count=0 shared=0 percpu=0 since_kill=100002us
[   14.000000] pcpuref: event=reinit name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=atomic->percpu count=1 shared=1 percpu=0 since_kill=-1us
[   15.000000] pcpuref: event=kill name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=percpu->atomic count=1 shared=1 percpu=0 since_kill=0us
[   16.000000] pcpuref: event=release name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=atomic->atomic count=0 shared=0 percpu=0 since_kill=1000000us
[   16.500000] pcpuref: event=exit name=&a->ref id=4 ref=00000000a3154100 release=a_release [a] mode=atomic->none count=0 shared=0 percpu=0 since_kill=1500000us
[   17.000000] something else
END

cat >"$work/two-lanes" <<'END'
lane not-released | one <b> | 5 | K | to the edge | not released
lane | &a->ref | 4 | K U C K C R N K R X | ends |
alarm | not released: 1
not released: one <b> (id 5)
END

echo "KTAP version 1"

draw "$work/two"
{
	cat "$work/two-lanes"
	cat <<'END'
killed 4 s ago, count 3
thread | one <b> (id 5) | live:10000+3000 percpu:10000+3000 dying (not released):13000+4000 switching:13000+100 atomic:13100+3900 | kill
thread | &a->ref (id 4) | live:10000+1000 percpu:10000+1000 dying:11000+500 switching:11000+500 live:11500+1500 switching:11500+500 atomic:12000+0.002 percpu:12000+999.998 dying:13000+100.002 switching:13000+100 atomic:13100+0.002 dead:13100+899.998 atomic:13100+899.998 live:14000+1000 percpu:14000+1000 dying:15000+1000 atomic:15000+1000 dead:16000+500 atomic:16000+500 | kill resurrect confirm kill confirm release reinit kill release exit
END
} >"$work/expected"
check lives_two_references 0 <"$work/expected"

# --- The same in other words ----------------------------------------------------

sed 's/^\[[^]]*\] //' "$work/two" >"$work/in"
draw "$work/in"
check lives_without_times 0 <"$work/two-lanes"

sed 's/^/<6>/; s/\]/][  T123]/' "$work/two" >"$work/in"
draw "$work/in"
check lives_levels_and_callers 0 <"$work/two-lanes"

sed 's/^/pcpuref-guest: log: kern  :info  : /; s/$/\r/' "$work/two" >"$work/in"
draw "$work/in"
check lives_console_prefix 0 <"$work/two-lanes"

sed 's/^\[   \([0-9]*\)\.\([0-9]*\)\]/2031-02-28T23:59:\1,\2+00:00/' "$work/two" >"$work/in"
draw "$work/in"
check lives_dates 0 <"$work/two-lanes"

sed 's/^\[   \([0-9]*\)\.[0-9]*\]/[Fri Feb 28 23:59:\1 2031]/' "$work/two" >"$work/in"
draw "$work/in"
check lives_dates_in_words 0 <"$work/two-lanes"

sed 's/^\[   \([0-9]*\)\.[0-9]*\]/Feb 29 23:59:\1 host kernel:/' "$work/two" >"$work/in"
draw "$work/in"
check lives_journal 0 <"$work/two-lanes"

# As it was printed before 0.2.
sed 's/ shared=[0-9]* percpu=\([0-9]*\)/ sum=\1/' "$work/two" >"$work/in"
draw "$work/in"
check lives_sum 0 <"$work/two-lanes"

# Tracefs, trace-cmd, perf. What the first counts as overwritten is missing.
sed -n 's/^\[ *\([0-9.]*\)\] pcpuref: event=\([a-z]*\) \(name=.*\) id=\(.*\)/  a-task-12      [001] d..1.    \1: pcpuref_\2: event=\2 \3 module=a id=\4 caller=f+0x1\/0x2 [a] finder=0x0/p' \
	"$work/two" >"$work/trace"
draw "$work/trace"
check lives_tracefs 0 <<'END'
lane not-released | one <b> | 5 | K | to the edge | not released; killed 3.5 s ago, count 3
lane | &a->ref | 4 | K U C K C R N K R X | ends |
thread | one <b> (id 5) | live:10000+3000 percpu:10000+3000 dying (not released):13000+3500 switching:13000+100 atomic:13100+3400 | kill
END
{
	echo "# entries-in-buffer/entries-written: 17/20   #P:4"
	cat "$work/trace"
} >"$work/in"
draw "$work/in"
check lives_overwritten 0 <<'END'
alarm | not released: 1; lost events: 3 or more, lanes may be wrong
lives: lost events: 3 or more
END
{
	echo "cpus=4"
	sed 's/: event=/:         event=/' "$work/trace"
	echo "CPU:2 [LOST 7 EVENTS]"
} >"$work/in"
draw "$work/in"
check lives_trace_cmd 0 <<'END'
lane | &a->ref | 4 | K U C K C R N K R X | ends |
alarm | not released: 1; lost events: 7 or more, lanes may be wrong
END
sed 's/: pcpuref_/: pcpuref:pcpuref_/' "$work/trace" >"$work/in"
draw "$work/in"
check lives_perf 0 <<'END'
lane | &a->ref | 4 | K U C K C R N K R X | ends |
END

# --- Lives that are not as they should be ------------------------------------------

# step STEP ID NAME TIME MODES COUNT SINCE_KILL; begin ID NAME TIME
step()
{
	echo "[    $4] pcpuref: event=$1 name=$3 id=$2 ref=00000000a3154100 release=r [m] mode=$5 count=$6 shared=$6 percpu=0 since_kill=${7}us"
}
begin()
{
	step init "$1" "$2" "$3" "none->percpu" 1 -1
}

{
	step switch 3 before 1.000000 "switching->atomic" 2 5000
	step kill 6 also-before 1.050000 "percpu->switching" 2 5
	begin 8 held 1.100000
	step init 9 born-dead 1.200000 "none->atomic" 0 -1
	step kill 8 held 1.300000 "percpu->switching" 2 5
	step exit 8 held 1.400000 "atomic->none" 1 100000
	step reinit 9 born-dead 1.500000 "atomic->percpu" 1 -1
	step kill 9 born-dead 1.600000 "percpu->atomic" 1 4
	step release 9 born-dead 1.700000 "atomic->atomic" 0 100000
	begin 10 usage 1.710000
	step release 10 usage 1.800000 "percpu->percpu" 0 -1
	begin 11 quiet 1.900000
	step dump 11 quiet 2.000000 "percpu->percpu" 1 -1
} >"$work/in"
draw "$work/in"
check lives_ends 0 <<'END'
lane not-released | before | 3 |  | to the edge | not released; killed 1 s ago, count 2
lane not-released | also-before | 6 | K | to the edge | not released
lane | held | 8 | K X | ends | exit, not released
lane | born-dead | 9 | N K R | to the edge | dead, no exit
lane | usage | 10 | R | to the edge | live
lane | quiet | 11 | D | to the edge | live
alarm | not released: 2
thread | born-dead (id 9) | dead:1200+300 atomic:1200+300 live:1500+100 percpu:1500+100 dying:1600+100 atomic:1600+100 dead:1700+300 atomic:1700+300 | reinit kill release
thread | usage (id 10) | live:1710+290 percpu:1710+290 | release
END

# The core was loaded again: ids begin anew.
{
	begin 4 first 1.000000
	step exit 4 first 2.000000 "percpu->none" 0 -1
	begin 4 second 3.000000
	begin 4 third 4.000000
	step exit 4 third 5.000000 "percpu->none" 0 -1
} >"$work/in"
draw "$work/in"
check lives_ids_again 0 <<'END'
lane | first | 4 | X | ends |
lane | second | 4 |  | ends | no exit, another init
lane | third | 4 | X | ends |
END

{
	begin 4 a 1.000000
	begin 5 twin 1.100000
	begin 6 twin 1.200000
	echo "[    1.300000] pcpuref: misuse: put without a reference: name=a release=r [m] count=0 caller=f+0x1/0x2 [m]"
	echo "[    1.400000] pcpuref: misuse: kill of a dying reference: name=twin id=6 release=r [m] count=0 shared=0 percpu=0 caller=f+0x1/0x2 [m]"
	step exit 6 twin 1.500000 "percpu->none" 0 -1
	echo "[    1.600000] pcpuref: misuse: use after exit: name=twin id=6 release=r [m] count=0 shared=0 percpu=0 caller=f+0x1/0x2 [m]"
	echo "[    1.700000] pcpuref: misuse: use after exit: name=(none) release=r [m] count=0 caller=f+0x1/0x2 [m]"
	echo "[    1.800000] pcpuref_reap: event=put without a reference name=a module=m id=4 ref=1 release=r mode=atomic->atomic count=0 shared=0 percpu=0 since_kill=-1us caller=f+0x1 finder=0x0"
} >"$work/in"
draw "$work/in"
check lives_misuse 0 <<'END'
lane | a | 4 | ! ! | to the edge | live
lane | twin | 5 |  | to the edge | live
lane | twin | 6 | ! X ! | ends |
alarm | misuse of a reference that is not told: 1
END

# --- Many ---------------------------------------------------------------------------

i=100
while [ "$i" -lt 160 ]; do
	begin "$i" "object-$i" "10.$i"000
	step kill "$i" "object-$i" "11.$i"000 "percpu->switching" 2 5
	step confirm "$i" "object-$i" "11.$i"001 "switching->switching" 2 5
	[ "$i" = 150 ] || step release "$i" "object-$i" "11.$i"002 "atomic->atomic" 0 5
	[ "$i" = 150 ] || step exit "$i" "object-$i" "11.$i"003 "atomic->none" 0 5
	i=$((i + 1))
done | sort -k 2 >"$work/sixty"
draw "$work/sixty"
check lives_sixty 0 <<'END'
lane not-released | object-150 | 150 | K C | to the edge | not released
lane | object-100 | 100 | K C R X | ends |
20 of 60 references are left out of the picture (--limit 40)
thread | object-159 (id 159)
END
lanes=$(grep -c 'class="lane' "$work/svg" || :)
echo "lanes: $lanes, threads: $(grep -c '"thread_name"' "$work/json")" >>"$work/told"
check lives_forty_of_sixty 0 <<'END'
lanes: 40, threads: 60
END
draw "$work/sixty" --limit 0 --name 'object-1[56]*'
echo "lanes: $(grep -c 'class="lane' "$work/svg" || :)" >>"$work/told"
check lives_by_name 0 <<'END'
lanes: 10
lane | object-159 | 159 | K C R X | ends |
END

{
	begin 4 busy 10.000000
	i=1000
	while [ "$i" -lt 1400 ]; do
		step kill 4 busy "1${i%???}.${i#?}000" "percpu->switching" 2 5
		step release 4 busy "1${i%???}.${i#?}300" "atomic->atomic" 0 300
		step reinit 4 busy "1${i%???}.${i#?}301" "atomic->percpu" 1 -1
		i=$((i + 1))
	done
} >"$work/in"
draw "$work/in"
check lives_many_marks 0 <<'END'
sums | busy | {'K': 400, 'R': 400, 'N': 400}
END

# --- What cannot be drawn ---------------------------------------------------------

{
	head -n 7 "$work/two"
	echo "[   12.500000] pcpuref: event=kill name=&a->ref id=4 ref=000 [   12.5] usb 1-1: new device"
	sed 1,7d "$work/two"
} >"$work/in"
draw "$work/in"
{
	grep -v "^alarm" "$work/two-lanes"
	echo "alarm | not released: 1; unreadable lines: 1"
	echo "lives: unreadable event lines: 1; the first is line 8: [   12.500000] pcpuref: event=kill name=&a->ref id=4 ref=000"
} >"$work/expected"
check lives_broken_line 0 <"$work/expected"

{
	begin 4 old 100.000000
	cat "$work/two"
} >"$work/in"
draw "$work/in"
{
	cat "$work/two-lanes"
	echo "line 2: the clock goes back by 90 s"
} >"$work/expected"
check lives_clock_goes_back 0 <"$work/expected"

echo "[    1.000000] pcpuref: version 0.1.0" >"$work/in"
draw "$work/in"
check lives_no_events 1 <<'END'
error: no events in 1 lines
END
draw "$work/two" --name 'nobody*'
check lives_no_such_name 1 <<'END'
error: no reference has a name like nobody*
END
draw "$work/no-such-file"
check lives_no_file 2 <<'END'
no-such-file
END
rc=0
"$scripts/lives.py" "$work/two" >"$work/told" 2>&1 || rc=$?
check lives_no_output 2 <<'END'
nothing to write
END

echo "1..$number"
exit "$((failures > 0))"
