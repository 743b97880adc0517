#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Everything at random, on many references, while CPUs come and go, memory gets scarce
# and clients are loaded and unloaded. Then the same seed once more, and mistakes of the
# client that must be found. See Documentation/stress.rst.
#
# STRESS_SECS is how long the first takes (10), STRESS_SEED what all choices derive from
# (0: a new one, which is told), STRESS_REFS how many references there are at a time,
# STRESS_PATIENCE the seconds that a life may take to end (60).
# STRESS_ONLY=1 leaves out what comes after the first. More than five minutes need more
# patience of run.sh: SELFTEST_TIMEOUT.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

secs=${STRESS_SECS:-10}
seed=${STRESS_SEED:-0}

begin pcpuref_test_stress secs="$secs" seed="$seed" refs="${STRESS_REFS:-96}" \
	patience="${STRESS_PATIENCE:-60}"

stress=stress_G1_G2_G3_G4_G12_G13_G15_G17

# Who waits for minutes until the case is over does not hang; what does is told by the
# module.
hung=/proc/sys/kernel/hung_task_timeout_secs
hung_before=
if [ -w "$hung" ]; then
	hung_before=$(cat "$hung")
	echo 0 >"$hung"
fi
# Reclaim begins while there is a tenth of the memory left: so it works long before
# there is none.
scale=/proc/sys/vm/watermark_scale_factor
scale_before=

# --- What goes on meanwhile, until there is a file $tmp/over -------------------------

# A CPU at a time, and sometimes a second one with it.
hotplug()
{
	last=
	# So that each CPU has its users.
	sleep 2
	while [ ! -e "$tmp/over" ]; do
		for c in $offline; do
			[ ! -e "$tmp/over" ] || break
			echo 0 >"$c/online" || return 1
			echo >>"$tmp/offlined"
			sleep 0.3
			[ -z "$last" ] || echo 1 >"$last/online" || return 1
			last=$c
			if [ $(($(wc -l <"$tmp/offlined") % 2)) -eq 0 ]; then
				echo 1 >"$c/online" || return 1
				last=
			fi
			sleep 0.3
		done
	done
	[ -z "$last" ] || echo 1 >"$last/online"
}

meminfo()
{
	sed -n "s/^$1: *\([0-9]*\) kB\$/\1/p" /proc/meminfo
}

# How many pages and objects have been looked at in order to free them. Nothing if the kernel
# does not count.
scanned()
{
	awk '/^(pgscan_kswapd|pgscan_direct|slabs_scanned) / { n += $2 }
		# The others are there without it: they count what could be swapped out.
		/^slabs_scanned / { counted = 1 }
		END { if (counted) print n }' /proc/vmstat
}

# fill KB: a file system in memory takes all but that. Towards the end in small pieces: with
# much less than that the kernel may find nothing to free.
fill()
{
	n=0
	while free=$(meminfo MemFree) && [ "$free" -gt "$1" ] && [ ! -e "$tmp/over" ]; do
		n=$((n + 1))
		count=16
		[ "$free" -gt $(($1 + 32768)) ] || count=4
		dd if=/dev/zero of="$tmp/memory/$1-$n" bs=1M count="$count" 2>/dev/null || break
	done
}

# Lets go of some of what is taken, and takes it again.
pressure()
{
	while [ ! -e "$tmp/over" ]; do
		sleep 0.5
		rm -f "$tmp/memory/$short"-*
		sleep 1
		fill "$short"
		[ -e "$tmp/over" ] || echo >>"$tmp/filled"
	done
}

# Each is at work when it is unloaded.
clients()
{
	while [ ! -e "$tmp/over" ]; do
		for mode in percpu atomic work recorded overtaken; do
			[ ! -e "$tmp/over" ] || break
			for module in "pcpuref_test_unload mode=$mode" pcpuref_hello; do
				# shellcheck disable=SC2086 # a name and parameters
				why=$(load $module) || {
					case $why in
					# None of this folder's.
					"no "*".ko; set MODDIR") continue ;;
					esac
					echo "$why"
					return 1
				}
				[ ! -r "$refs_table" ] || cat "$refs_table" >/dev/null
				unload "${module%% *}" || return 1
				echo >>"$tmp/loaded"
			done
		done
	done
}

# It looks at all references, again and again. Loaded in the midst of it, it would make the
# kernel patch the code of the core's events while that runs on other CPUs. The emulated
# CPUs of QEMU now and then run such code as it was before, and the kernel dies of that.
refs_table=/sys/kernel/debug/pcpuref/refs
watching=
if module_path pcpuref_watch >/dev/null; then
	why=$(load pcpuref_watch) || {
		not_ok load "$why"
		finish
	}
	watching=1
fi
offline=$(cpus)
: >"$tmp/offlined"
: >"$tmp/filled"
: >"$tmp/loaded"
mkdir "$tmp/memory"
before=$(scanned)
mounted=
! mount -t tmpfs -o size=100% pcpuref "$tmp/memory" 2>/dev/null || mounted=1
if [ -w "$scale" ] && [ -n "$mounted" ]; then
	scale_before=$(cat "$scale")
	echo 1000 >"$scale"
	# Memory is short from the beginning, until about a fifteenth is free: to fill it up
	# takes long on a slow machine.
	total=$(meminfo MemTotal)
	short=$((total / 15))
	fill $((total / 6))
	fill "$short"
	echo >>"$tmp/filled"
fi

jobs=
# They share $tmp, but not the files that load and unload write to.
if [ -n "$offline" ]; then
	hotplug 2>"$tmp/hotplug" &
	jobs="$jobs hotplug:$!"
else
	skip hotplug "no CPU can be taken offline"
fi
if [ -n "$scale_before" ]; then
	pressure 2>"$tmp/pressure" &
	jobs="$jobs pressure:$!"
else
	skip pressure "no tmpfs, or no $scale"
fi
clients >"$tmp/clients" 2>&1 &
jobs="$jobs clients:$!"

start_case "$stress"
: >"$tmp/over"
complaint=
for job in $jobs; do
	wait "${job#*:}" || complaint="$complaint
${job%:*}: $(cat "$tmp/${job%:*}")"
done
after=$(scanned)
if [ -n "$mounted" ]; then
	[ -z "$scale_before" ] || echo "$scale_before" >"$scale"
	umount "$tmp/memory"
fi

# What never happened has not been tested.
did=
for what in offlined filled loaded; do
	n=$(wc -l <"$tmp/$what")
	did="$did $n $what,"
	[ "$n" -gt 0 ] || case $what:$offline:$scale_before in
	offlined::* | filled:*:) ;;
	*) complaint="$complaint
nothing was $what" ;;
	esac
done

reclaim="reclaim is not counted here"
if [ -n "$after" ]; then
	reclaim="$((after - before)) pages and objects scanned"
	[ -z "$scale_before" ] || [ "$after" -gt "$before" ] ||
		complaint="$complaint
memory was never short: nothing was reclaimed"
fi

late=$(grep 'pcpuref-unload: [a-z]*: [0-9]' "$tmp/slice" || :)
[ -z "$late" ] || complaint="$complaint
$late"

# What the module has said, into the results.
said()
{
	diag "$(sed -n 's/^pcpuref_test_stress: //p' "$tmp/slice")"
}

said
diag "meanwhile:$did $reclaim"
report_case "$complaint"
# Nobody knows what still uses the module's data.
[ "$result" = pass ] || STRESS_ONLY=1

# --- The same seed makes the same choices; another one does not -------------------------

# digest SEED NAME: of a short run; what is wrong with it to stdout
digest()
{
	echo "$1" >"$parameters/seed"
	start_case "$stress"
	[ "$result" = pass ] || echo "$why"
	echo "${complaints}" | sed '/^$/d'
	cp "$parameters/digest" "$tmp/digest-$2"
	[ -s "$tmp/digest-$2" ] || echo "no digest"
}

if [ -z "${STRESS_ONLY:-}" ]; then
	echo 4 >"$parameters/secs"
	complaint=$(digest 4711 first; digest 4711 second; digest 4712 other)
	cmp -s "$tmp/digest-first" "$tmp/digest-second" ||
		complaint="$complaint
the same seed made other choices: $(cat "$tmp/digest-first"), $(cat "$tmp/digest-second")"
	! cmp -s "$tmp/digest-first" "$tmp/digest-other" ||
		complaint="$complaint
another seed made the same choices: $(cat "$tmp/digest-first")"
	diag "digest: $(cat "$tmp/digest-first")"
	verdict replay "$complaint"
fi

# --- Mistakes of the client that must be found, each by its name --------------------------

# mistake NAME TEXT: the case must fail with that
mistake()
{
	echo "$1" >"$parameters/bug"
	start_case "$stress"
	complaint=$complaints
	case $result:$why in
	"fail:$2"*) ;;
	*) complaint="$complaint
expected to fail with: $2
but: $result $why" ;;
	esac
	[ -z "$complaint" ] || said
	verdict "finds_$1" "$complaint"
}

if [ -z "${STRESS_ONLY:-}" ]; then
	echo "$seed" >"$parameters/seed"
	echo 20 >"$parameters/secs"
	mistake early_release "released early: gets - puts is not 0 but 1"
	mistake late_put "put too late: gets - puts is not 0 after the end but -1"
	mistake live_after_confirm "live reference after confirm"
	mistake confirm_twice "confirmed twice, or after the end"
	mistake release_twice "released twice in a life"
	mistake write_after_exit "written to after exit"
	mistake touch_after_exit "touched after exit"
	mistake stale_kref "got what has another key"
	echo 40 >"$parameters/secs"
	echo 15 >"$parameters/patience"
	mistake forgotten_put "killed and not released, in seconds: 15"
	mistake lost_confirm "a confirm has not come"
fi

[ -z "$watching" ] || why=$(unload pcpuref_watch) || not_ok unload_watch "$why"
[ -z "$hung_before" ] || echo "$hung_before" >"$hung"
end pcpuref_test_stress
