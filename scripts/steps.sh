#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# steps.sh [-k] <LIST: run the commands of LIST, one a line, in the folder of the sources.
# Each ends with "N passed, N failed, N skipped", but those that stand after "counts 1:",
# which count as one test that passes if they do. What stands after "meanwhile:" runs beside
# the steps that follow, with the CPU time that these leave, and ends with the last of them: to
# do early what a later step would do, or wait for. "#" begins a comment. Stops at the first
# failure; with -k goes on, and fails at the end. Then comes a table of the steps with
# their times, and as the last line the sum.

set -euo pipefail
cd "$(dirname "$0")/.."

keep_going=
if [ "${1:-}" = -k ]; then
	keep_going=1
fi
logs=$(mktemp -d)
beside=()
trap end EXIT
passed=0 failed=0 skipped=0

end()
{
	local pid
	for pid in "${beside[@]}"; do
		kill -- "-$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	rm -rf "$logs"
}

# meanwhile COMMAND: in a process group of its own, so that all of it can be ended
meanwhile()
{
	echo "=== meanwhile: $1"
	set -m
	chrt --idle 0 bash -c "$1" </dev/null >/dev/null 2>&1 &
	set +m
	beside+=($!)
}

# Prints the table and the sum; returns whether all is well.
summary()
{
	echo "=== steps, and their times in seconds"
	cat "$logs/table"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# step COMMAND: returns whether it is well
step()
{
	local log=$logs/log status=0 last p f s start=$SECONDS one="" command=$1
	case $command in
	"counts 1: "*) one=1 command=${command#counts 1: } ;;
	esac
	echo "=== $command"
	bash -c "$command" </dev/null 2>&1 | tee "$log" || status=$?
	# make itself may have the last word when a target failed.
	if [ -n "$one" ]; then
		last="1 passed, 0 failed, 0 skipped"
	else
		last=$(grep -xE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$log" |
			tail -n 1) || last="0 passed, 1 failed, 0 skipped"
	fi
	read -r p _ f _ s _ <<<"${last//,/}"
	if [ "$status" -ne 0 ] && [ "$f" -eq 0 ] || [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then
		f=1
		[ -z "$one" ] || p=0
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	printf '%6d  %4d passed  %2d failed  %3d skipped  %s\n' $((SECONDS - start)) \
		"$p" "$f" "$s" "$command" >>"$logs/table"
	[ "$f" -eq 0 ]
}

: >"$logs/table"
while read -r line; do
	case $line in
	'' | '#'*) continue ;;
	'meanwhile: '*)
		meanwhile "${line#meanwhile: }"
		continue
		;;
	esac
	if ! step "$line"; then
		echo "FAILED: $line"
		[ -n "$keep_going" ] || break
	fi
done
summary
