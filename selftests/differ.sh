#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# percpu_ref and pcpuref side by side: the differences that are known, random
# sequences of calls, and a storm, while CPUs come and go. SECONDS_EACH says how
# long the last two take. SEED is the first sequence's, SEQUENCES how many there
# are: SEED=123 SEQUENCES=1 is one that has failed, once more. More than five minutes
# each need more patience: SELFTEST_TIMEOUT, see run.sh.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

begin pcpuref_test_differ seconds="${SECONDS_EACH:-8}" seed="${SEED:-0}" \
	sequences="${SEQUENCES:-0}"

# Who waits for minutes until a case is over does not hang; what does is told by
# the module.
hung=/proc/sys/kernel/hung_task_timeout_secs
hung_before=
if [ -w "$hung" ]; then
	hung_before=$(cat "$hung")
	echo 0 >"$hung"
fi

# Each in turn is offline for a while, until there is a file $tmp/over.
hotplug()
{
	while :; do
		for c in $offline; do
			[ ! -e "$tmp/over" ] || return 0
			echo 0 >"$c/online" || return 1
			sleep 0.3
			echo 1 >"$c/online" || return 1
			sleep 0.3
		done
	done
}

# What has been done, into the results.
show_case()
{
	diag "$name:"
	diag "$(sed '/./!d; s/^/  /' "$parameters/did")"
	report_case "${1:-}"
}

rows=$(cat "$parameters/rows")
i=0
while [ "$i" -lt "$rows" ]; do
	start_case "$i"
	show_case
	i=$((i + 1))
done

for c in barrier dying; do
	start_case "$c"
	show_case
done

offline=$(cpus)
for c in sequences storm; do
	complaint=
	rm -f "$tmp/over"
	if [ -n "$offline" ]; then
		hotplug 2>"$tmp/hotplug" &
		hotplug=$!
		start_case "$c"
		: >"$tmp/over"
		wait "$hotplug" || complaint=$(cat "$tmp/hotplug")
		# A few sequences are over too soon for that.
		if [ -z "${SEQUENCES:-}" ] && grep -q ' 0 CPUs offlined' "$parameters/did"; then
			complaint="$complaint no CPU came or went"
		fi
	else
		diag "no CPU can be taken offline"
		start_case "$c"
	fi
	show_case "$complaint"
done

[ -z "$hung_before" ] || echo "$hung_before" >"$hung"
end pcpuref_test_differ
