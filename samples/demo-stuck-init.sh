#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A stuck reference, found by dmesg alone. To be run as root (in the VM of
# "make demo-stuck": under busybox): a client with a bug leaks a reference at a
# known call site and is killed, beside healthy ones. It passes only if the log
# names that call site in time, and accuses nobody else; and if the cases beside
# it come out right. MODDIR is where the modules are, STUCK_SECS the watchdog's
# patience, STUCK_ARGS parameters of the client, to see this check fail.

set -eu

: "${MODDIR:?set MODDIR to the folder of the modules}"
secs=${STUCK_SECS:-10}
log=$(mktemp)
table=$(mktemp)
trap 'rm -f "$log" "$table"' EXIT
debugfs=/sys/kernel/debug/pcpuref

failed=0
fail()
{
	echo "demo-stuck: FAILED: $*"
	failed=1
}

pass()
{
	echo "demo-stuck: ok: $*"
}

# time_of PATTERN: of the first such line, in milliseconds
time_of()
{
	dmesg | sed -n "/$1/{s/^[^[]*\[ *\([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/p;q}"
}

dmesg -c >/dev/null
echo "demo-stuck: kernel $(uname -r), $(grep -c '^processor' /proc/cpuinfo) CPUs, stuck_secs=$secs"
insmod "$MODDIR/pcpuref.ko"
# For a picture of the lives, if it is asked for (TRACE is the file).
tracing=/sys/kernel/tracing
[ -z "${TRACE:-}" ] || echo 1 >$tracing/events/pcpuref/enable
insmod "$MODDIR/pcpuref_holders.ko"
insmod "$MODDIR/pcpuref_watch.ko" stuck_secs="$secs"
insmod "$MODDIR/pcpuref_store.ko" pause_ms=5
# shellcheck disable=SC2086 # a list of words
insmod "$MODDIR/pcpuref_stuck.ko" ${STUCK_ARGS:-}
echo "demo-stuck: a leaky client, and two healthy ones at full load"

n=0
while [ -z "$(time_of 'pcpuref_stuck: kill leaky')" ] && [ "$n" -lt 60 ]; do
	n=$((n + 1))
	sleep 1
done
killed=$(time_of 'pcpuref_stuck: kill leaky')
[ -n "$killed" ] || fail "the client did not come as far as its kill"
n=0
while [ -z "$(time_of 'pcpuref_watch: ref &leaky.ref .* is stuck')" ] &&
	[ "$n" -lt $((secs + 10)) ]; do
	n=$((n + 1))
	sleep 1
done
sleep 1
dmesg >"$log"

reported=$(time_of 'pcpuref_watch: ref &leaky.ref .* is stuck')
if [ -z "$reported" ]; then
	fail "no report of the leaky reference"
	id=none
else
	ms=$((reported - ${killed:-0}))
	if [ "$ms" -lt $(((secs + 5) * 1000)) ] && [ "$ms" -ge $((secs * 1000)) ]; then
		pass "reported $ms ms after the kill, limit $(((secs + 5) * 1000))"
	else
		fail "reported $ms ms after the kill, not from $((secs * 1000)) to $(((secs + 5) * 1000))"
	fi
	id=$(sed -n 's/.*ref &leaky.ref (id \([0-9]*\)) .* is stuck.*/\1/p' "$log" | head -n 1)
fi

# All take it in queue_find(): whoever called that is to be told too, and nobody else.
if grep -A 1 "id=$id holder: queue_find[.a-z0-9]*+.* \[pcpuref_stuck\] outstanding=1 " "$log" |
	grep -q "id=$id  *called by queue_query[.a-z0-9]*+"; then
	pass "the call site is named: queue_find, called by queue_query"
else
	fail "queue_query is not named"
fi
if grep -E "id=$id (holder: |  *(called by|perhaps) )" "$log" |
	grep -Ev '(holder: queue_find|called by queue_query)[.a-z0-9]*\+'; then
	fail "another call site is accused"
else
	pass "no other call site is accused"
fi
if grep 'pcpuref_watch: ref .* is stuck' "$log" | grep -v 'ref &leaky.ref (id'; then
	fail "a healthy reference is accused"
elif [ -n "$reported" ]; then
	pass "no healthy reference is accused"
fi

printf '\ndemo-stuck: what the log says\n\n'
grep -E "ref &leaky.ref .* is stuck|pcpuref.*: id=$id |dump: id=$id " "$log" | head -n 20
printf '\ndemo-stuck: and the table\n\n'
head -n 8 "$debugfs/refs"
echo

if [ -n "${TRACE:-}" ]; then
	# All at once: events are disabled one after the other.
	echo 0 >$tracing/tracing_on
	cat $tracing/trace >"$TRACE"
fi

# --- Beside it ------------------------------------------------------------------

insmod "$MODDIR/pcpuref_test_watch.ko"
client=/sys/module/pcpuref_test_watch/parameters
tell()
{
	echo "$*" >"$client/run"
}

# Held legitimately, for long, and then released: a report, and the end of it.
echo 2 >/sys/module/pcpuref_watch/parameters/stuck_secs
tell init 0
tell get 0
tell kill 0
sleep 4
tell put 0
sleep 1
dmesg >"$log"
if grep -q 'ref watched (id [0-9]*) of module pcpuref_test_watch is stuck' "$log" &&
	grep -q 'ref watched (id [0-9]*) of module pcpuref_test_watch: released after [3-9]\.[0-9]* s (reported' "$log"; then
	pass "held for long: $(sed -n 's/.*: released after/released after/p' "$log" | head -n 1)"
else
	fail "a reference held for long and then released"
fi
tell exit 0

# Ten thousand, while the table is read in a loop.
tell init 0 10000
rounds=0
short=0
while [ "$rounds" -lt 5 ]; do
	rounds=$((rounds + 1))
	cat "$debugfs/refs" >"$table"
	[ "$(grep -c ' watched ' "$table")" -eq 10000 ] || short=1
	[ "$rounds" -ne 2 ] || tell churn 500
done
if [ "$short" -eq 0 ]; then
	pass "10000 references, and the table read $rounds times"
else
	fail "the table has not all 10000 references"
fi

# A client killed in the middle, then unloaded with references registered.
(tell hold 7) &
victim=$!
sleep 1
kill -9 $victim
wait $victim 2>/dev/null || :
tell kill 7
sleep 4
dmesg >"$log"
if [ "$(grep -c ' watched ' "$debugfs/refs")" -eq 10000 ] &&
	[ "$(grep -c 'ref watched .*is stuck.* count 1$' "$log")" -ge 2 ]; then
	pass "a client killed while it held one: reported, and the others still listed"
else
	fail "a client killed while it held one"
fi
echo 1 >"$client/leave"
rmmod pcpuref_test_watch || fail "the client does not unload"
cat "$debugfs/refs" >"$table"
dmesg >"$log"
if grep -q 'pcpuref: misuse: module unloaded without exit: 10000 references in all' "$log" &&
	! grep -q ' watched ' "$table"; then
	pass "unloaded with references registered: $(grep -m 1 -o 'misuse: module unloaded without exit: module=[^ ]*' "$log"), and 9999 more"
else
	fail "unloaded with references registered: no report"
fi

rmmod pcpuref_stuck || fail "pcpuref_stuck does not unload"
rmmod pcpuref_store || fail "pcpuref_store does not unload"
rmmod pcpuref_watch || fail "pcpuref_watch does not unload"
rmmod pcpuref_holders || fail "pcpuref_holders does not unload"
rmmod pcpuref || fail "pcpuref does not unload"
dmesg >"$log"
if grep -A 30 -E 'BUG:|WARNING:|Oops|Call Trace|Kernel panic|INFO: |suspicious RCU|NOT BALANCED' "$log"; then
	fail "the log has the above"
fi
exit "$failed"
