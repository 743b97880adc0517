#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The demo, to be run as root on a running kernel (in the VM of "make demo":
# under busybox): load the core with its event trace on, run the object store
# on it for some seconds, unload both, show the life of the objects as the log
# tells it, and whether the numbers balance. MODDIR is where the modules are;
# DEMO_SECONDS and DEMO_PAUSE_MS are how long, and how slow the writers go:
# slow, so that the log can be read. The readers go at full speed.

set -eu

: "${MODDIR:?set MODDIR to the folder of the modules}"
seconds=${DEMO_SECONDS:-5}
pause_ms=${DEMO_PAUSE_MS:-120}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

failed=0
fail()
{
	echo "demo: FAILED: $*"
	failed=1
}

dmesg -c >/dev/null

echo "demo: kernel $(uname -r), $(grep -c '^processor' /proc/cpuinfo) CPUs"
echo "demo: insmod pcpuref.ko trace_events=1"
insmod "$MODDIR/pcpuref.ko" trace_events=1
echo "demo: insmod pcpuref_store.ko, runs for $seconds seconds"
insmod "$MODDIR/pcpuref_store.ko" pause_ms="$pause_ms"
sleep "$seconds"

parameters=/sys/module/pcpuref_store/parameters
echo 0 >$parameters/running
summary=$(cat $parameters/summary)
problems=$(cat $parameters/problems)
echo "demo: rmmod pcpuref_store pcpuref"
rmmod pcpuref_store || fail "pcpuref_store does not unload"

# The client of the README.
insmod "$MODDIR/pcpuref_hello.ko"
rmmod pcpuref_hello
rmmod pcpuref || fail "pcpuref does not unload"
dmesg >"$log"
grep -q 'hello: the last user is gone' "$log" || fail "no word from pcpuref_hello"

# What the trace says: one line for each object, three objects in full, and
# how often each event occurred.
awk '
function field(key,	i)
{
	for (i = 1; i <= NF; i++)
		if (index($i, key "=") == 1)
			return substr($i, length(key) + 2)
	return ""
}
/pcpuref: event=.* name=object-/ {
	name = field("name")
	event = field("event")
	if (!(name in life))
		order[++objects] = name
	life[name] = life[name] " " event
	line = $0
	sub(/.*pcpuref: event=/, "", line)
	sub(/ name=[^ ]+/, "", line)
	sub(/ ref=.* mode=/, " mode=", line)
	same[name] = $0
	sub(/.* ref=/, "ref=", same[name])
	sub(/ mode=.*/, "", same[name])
	time = $0
	sub(/\].*/, "]", time)
	full[name] = full[name] "    " time " " line "\n"
}
# The rarest of these first, so that the three differ.
function show(pattern,	i)
{
	for (i = 1; i <= objects; i++)
		if (life[order[i]] ~ pattern && !(order[i] in shown)) {
			shown[order[i]] = 1
			printf "  %s %s\n%s\n", order[i], same[order[i]], full[order[i]]
			return
		}
}
END {
	print "\ndemo: the life of each object (switch: between per-CPU and atomic mode)\n"
	for (i = 1; i <= objects; i++)
		printf "  %-10s%s\n", order[i], life[order[i]]
	print "\ndemo: three of them in full\n"
	show("reinit.*resurrect|resurrect.*reinit")
	show("reinit")
	show("")
}' "$log"

# The same numbers from two sides: what the store counted, what the core traced.
count()
{
	echo " $summary " | sed -n "s/.* $1=\([0-9-]*\) .*/\1/p"
}
compare()
{
	traced=$(grep -c "pcpuref: event=$1 name=object-" "$log" || :)
	counted=$(count "$2")
	[ "$traced" = "$counted" ] ||
		fail "$2: the store counted $counted, the log has $traced"
}
compare init inserts
compare kill kills
compare confirm confirms
compare release releases
compare reinit reinits
compare resurrect resurrects
compare exit inserts

for what in gets kills confirms releases reinits resurrects; do
	[ "$(count $what)" -gt 0 ] || fail "no $what"
done
[ "$(count gets)" = "$(count puts)" ] || fail "gets and puts differ"
[ "$(count alive)" = 0 ] || fail "objects still alive"
[ "$problems" = 0 ] || fail "the store found $problems problems"

if grep -A 40 -E 'BUG:|WARNING:|Oops|Call Trace|Kernel panic|INFO: |suspicious RCU|pcpuref: misuse|NOT BALANCED' "$log"; then
	fail "the log has the above"
fi

echo "demo: $summary"
if [ "$failed" = 0 ]; then
	echo "demo: balanced, objects still alive: 0"
fi
exit "$failed"
