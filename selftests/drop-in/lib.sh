# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the workloads of the rebuilt drivers share. To be sourced.
#
# DROP_IN=plain says that the drivers are as they are: what looks at pcpuref is
# skipped then, and all else must pass. QUICK=1 makes fewer rounds.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"

refs=/sys/kernel/debug/pcpuref
tracing=/sys/kernel/tracing

plain()
{
	[ "${DROP_IN:-}" = plain ]
}

# rounds MANY FEW
rounds()
{
	echo "${QUICK:+$2}" | grep . || echo "$1"
}

# begin_driver DRIVER 'MODULE [PARAMETER]...'...: load the modules; DRIVER's
# references are looked at.
begin_driver()
{
	[ "$(id -u)" -eq 0 ] || skip_all "needs root"
	echo "KTAP version 1"
	mark
	driver=$1
	shift
	plain || set -- pcpuref_watch "$@"
	why=
	for m; do
		# shellcheck disable=SC2086 # a module and its parameters
		modprobe $m >"$tmp/modprobe" 2>&1 ||
			why="$why cannot load $m: $(cat "$tmp/modprobe")"
	done
	[ -n "$why" ] || plain || [ -e "/sys/module/pcpuref/holders/$driver" ] ||
		why="$driver does not use pcpuref"
	verdict load "$why"
	[ -z "$why" ] || finish
	if ! plain; then
		echo 4096 >"$tracing/buffer_size_kb"
		echo >"$tracing/trace"
		echo 1 >"$tracing/events/pcpuref/enable"
	fi
}

# For what only pcpuref can tell: verdict_ours NAME WHY
verdict_ours()
{
	if plain; then
		skip "$1" "plain"
	else
		verdict "$@"
	fi
}

# eventually SECONDS COMMAND...: until it succeeds
eventually()
{
	until=$(($(date +%s) + $1))
	shift
	while ! "$@"; do
		[ "$(date +%s)" -lt "$until" ] || return 1
		sleep 0.1
	done
}

# start_readers DISK BLOCKS: three read so many blocks of 64k, again and again until that
# fails. Adds to $why if one has ended already.
start_readers()
{
	readers=
	for r in 1 2 3; do
		while dd if="$1" of=/dev/null bs=64k count="$2" iflag=direct; do
			:
		done 2>/dev/null &
		readers="$readers $!"
	done
	sleep 0.3
	for r in $readers; do
		kill -0 "$r" || why="$why a reader has ended before;"
	done
}

wait_for_readers()
{
	for r in $readers; do
		wait "$r" || :
	done
}

# tool COMMAND...: silent, unless it fails
tool()
{
	"$@" >"$tmp/tool" 2>&1 || {
		echo "$*: $(cat "$tmp/tool")"
		return 1
	}
}

# The lines of the table that are the driver's.
refs_of_driver()
{
	awk -v module="$driver" '$3 == module' "$refs/refs"
}

no_refs()
{
	[ -z "$(refs_of_driver)" ]
}

# has_refs NAME...: says which are not in the table
has_refs()
{
	plain && return 0
	refs_of_driver >"$tmp/refs"
	for r; do
		awk -v name="$r" '$2 == name { found = 1 } END { exit !found }' "$tmp/refs" ||
			echo "no reference $r"
	done
}

id_of()
{
	awk -v name="$1" -v module="$driver" \
		'$2 == name && $3 == module { print $1; exit }' "$refs/refs"
}

take_trace()
{
	echo 0 >"$tracing/events/pcpuref/enable"
	cat "$tracing/trace" >"$tmp/whole"
	grep 'pcpuref_[a-z]*: event=' "$tmp/whole" >"$tmp/trace" || :
	echo >"$tracing/trace"
	awk -F '[ /:]+' '/entries-in-buffer/ && $(NF - 3) != $(NF - 2) {
		print "the trace has lost events"
		exit
	}' "$tmp/whole"
}

# life NAME STEP...: each step must be in the trace, and what was initialised must
# have exited.
life()
{
	name=$1
	shift
	awk -v name="name=$name" -v steps="$*" '
	{
		for (i = 1; i <= NF; i++)
			if ($i == name)
				break
		if (i > NF)
			next
		step = $0
		sub(/.*pcpuref_/, "", step)
		sub(/:.*/, "", step)
		id = $0
		sub(/.* id=/, "", id)
		sub(/ .*/, "", id)
		n[step]++
		last[id] = step
	}
	END {
		k = split(steps, want, " ")
		for (i = 1; i <= k; i++) {
			if (!n[want[i]])
				print name ": no " want[i]
			said = said " " want[i] "=" n[want[i]] + 0
		}
		if (n["init"] != n["exit"])
			print name ": " n["init"] + 0 " inits, " n["exit"] + 0 " exits"
		for (id in last)
			if (last[id] != "exit")
				print name ": the last of " id " is " last[id]
		print name said >"/dev/stderr"
	}' "$tmp/trace" 2>"$tmp/life"
	cat "$tmp/life" >>"$tmp/lives"
}

# end_driver MODULE...: nothing of the driver is left, and it goes. Call take_trace
# and life before.
end_driver()
{
	[ ! -e "$tmp/lives" ] || diag "$(cat "$tmp/lives")"
	why=
	plain || eventually 20 no_refs || why="left: $(refs_of_driver)"
	verdict_ours refs_are_gone "$why"
	why=
	for m; do
		[ -n "$why" ] || why=$(unload "$m") || :
	done
	plain || [ -n "$why" ] || why=$(left_allocated)
	verdict unload "$why"
	verdict log_is_clean "$(take_slice)"
	finish
}

# Files with random contents, and their sums.
make_blobs()
{
	i=0
	while [ "$i" -lt 5 ]; do
		dd if=/dev/urandom of="$tmp/blob$i" bs=64k count=$((i + 1)) 2>/dev/null
		i=$((i + 1))
	done
	(cd "$tmp" && sha256sum blob?) >"$tmp/contents"
}
