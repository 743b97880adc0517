# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the test programs share: modules, slices of the kernel's log, KTAP.
# To be sourced; needs root. Written for busybox, runs with any POSIX shell.
#
# MODDIR is the folder that has all modules. Without it they are looked for
# where "make" leaves them: beside the sources.

# What the kselftest runner calls "skip".
KSFT_SKIP=4

here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/pcpuref.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# --- KTAP ---------------------------------------------------------------------

tests=0
failures=0
# Before each line of tests that are nested in another one.
indent=

diag()
{
	printf '%s\n' "$1" | sed "s/^/$indent# /"
}

ok()
{
	tests=$((tests + 1))
	echo "${indent}ok $tests $1"
}

# not_ok NAME WHY
not_ok()
{
	tests=$((tests + 1))
	failures=$((failures + 1))
	diag "$2"
	echo "${indent}not ok $tests $1"
}

skip()
{
	tests=$((tests + 1))
	echo "${indent}ok $tests $1 # SKIP $2"
}

# verdict NAME WHY: passed if there is no WHY.
verdict()
{
	if [ -z "$2" ]; then
		ok "$1"
	else
		not_ok "$1" "$2"
	fi
}

# The plan comes last: how many cases a module has is known when it is loaded.
finish()
{
	echo "1..$tests"
	[ "$tests" -gt 0 ] && [ "$failures" -eq 0 ] || exit 1
	exit 0
}

skip_all()
{
	echo "1..0 # SKIP $1"
	exit "$KSFT_SKIP"
}

# --- The kernel's log ------------------------------------------------------------

marks=0

# The lines since the last mark are a slice.
mark()
{
	marks=$((marks + 1))
	marker="pcpuref-selftest: ${0##*/} $$ $marks"
	echo "$marker" >/dev/kmsg
}

# lines_since MARK: without timestamps, which are not compared; if there is none given, since
# the first mark that is still there. Fails if the mark is gone.
lines_since()
{
	dmesg | awk -v marker="$1" '
	seen {
		sub(/^(<[0-9]+>)?\[ *[0-9.]+\](\[ *[CT][0-9]+\])? /, "")
		print
		next
	}
	marker == "" && /pcpuref-selftest: / { seen = 1 }
	# Not mark 12 when it is mark 1.
	marker != "" && substr($0, length($0) - length(marker) + 1) == marker { seen = 1 }
	END { exit !seen }'
}

slice()
{
	lines_since "$marker"
}

# The slice into $tmp/slice, and what is wrong in it to stdout.
take_slice()
{
	slice >"$tmp/slice" ||
		echo "the kernel's log is too small: boot with log_buf_len=1M"
	warnings "$tmp/slice"
}

# What is wrong in the log $1.
warnings()
{
	for judge in "$here/warnings.awk" "$here/../scripts/warnings.awk"; do
		if [ -e "$judge" ]; then
			complained=$(awk -f "$judge" "$1" 2>&1) ||
				[ -n "$complained" ] || complained="warnings.awk failed"
			[ -z "$complained" ] || printf '%s\n' "$complained"
			return 0
		fi
	done
	echo "no warnings.awk to judge the log"
}

# --- Modules -----------------------------------------------------------------------

module_path()
{
	for dir in "${MODDIR:-}" "$here/.." "$here/test_modules" "$here/kunit"; do
		if [ -n "$dir" ] && [ -e "$dir/$1.ko" ]; then
			echo "$dir/$1.ko"
			return 0
		fi
	done
	return 1
}

loaded()
{
	[ -d "/sys/module/$1" ]
}

# load NAME [PARAMETER]...; says what is wrong
load()
{
	name=$1
	shift
	if path=$(module_path "$name"); then
		insmod "$path" "$@" >"$tmp/insmod" 2>&1 || {
			echo "cannot load $name: $(cat "$tmp/insmod")"
			return 1
		}
	else
		# Installed with the kernel.
		modprobe "$name" "$@" >"$tmp/insmod" 2>&1 || {
			echo "no $name.ko; set MODDIR"
			return 1
		}
	fi
}

unload()
{
	rmmod "$1" >"$tmp/rmmod" 2>&1 || {
		echo "cannot unload $1: $(cat "$tmp/rmmod")"
		return 1
	}
}

# Leave the machine as it is without us, even after a failure.
unload_all()
{
	for m in /sys/module/porting_*; do
		[ ! -d "$m" ] || rmmod "${m##*/}" 2>/dev/null || :
	done
	for m in test_api test_kref test_misuse test_states test_storm test_delay test_unload \
		test_last test_watch test_borrower test_holders test_tasks test_differ test_faults test_arm \
		test_stress hello watch holders; do
		if loaded "pcpuref_$m"; then
			rmmod "pcpuref_$m" 2>/dev/null || :
		fi
	done
	for m in /sys/module/pcpuref_kunit_*; do
		[ ! -d "$m" ] || rmmod "${m##*/}" 2>/dev/null || :
	done
	if loaded pcpuref; then
		rmmod pcpuref 2>/dev/null || :
	fi
}

# The code of a test that failed stays loaded: see pcpuref_test.h.
begin_without_modules()
{
	unload_all
	if loaded pcpuref; then
		not_ok load "pcpuref is in use, after an earlier failure: reboot"
		finish
	fi
}

# begin NAME [PARAMETER]...: the core and one test module, or the end.
begin()
{
	[ "$(id -u)" -eq 0 ] || skip_all "needs root"
	echo "KTAP version 1"
	module_path "$1" >/dev/null || skip_all "no $1.ko; set MODDIR"
	begin_without_modules
	if ! why=$(load pcpuref && load "$@"); then
		not_ok load "$why"
		finish
	fi
	parameters=/sys/module/$1/parameters
}

# What the core has allocated and not freed, now that no client is there; nothing
# if that comes to nothing. Some is on its way for a grace period.
left_allocated()
{
	tries=150
	while read -r left </sys/module/pcpuref/parameters/allocated &&
		[ "$left" != "0 0" ]; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || {
			echo "structures and counters that are left: $left"
			return
		}
		sleep 0.1
	done
}

# The end of begin; what cannot be unloaded or is left behind is a failure.
end()
{
	mark
	why=$(unload "$1") || :
	[ -n "$why" ] || verdict nothing_is_left "$(left_allocated)"
	[ -n "$why" ] || why=$(unload pcpuref) || :
	verdict unload "$why$(take_slice)"
	finish
}

# --- Waiting ------------------------------------------------------------------------------

# soon COMMAND...: within thirty seconds. By the clock: reading the log takes seconds where
# it is long and the machine slow.
soon()
{
	read -r began _ </proc/uptime
	while ! "$@"; do
		read -r now _ </proc/uptime
		[ "${now%.*}" -lt $((${began%.*} + 30)) ] || return 1
		sleep 0.1
	done
}

# --- The machine --------------------------------------------------------------------------

# The CPUs that can be taken offline, but the first one, which often cannot.
cpus()
{
	for c in /sys/devices/system/cpu/cpu[0-9]*; do
		if [ "${c##*/}" != cpu0 ] && [ -w "$c/online" ] &&
			[ "$(cat "$c/online")" = 1 ]; then
			echo "$c"
		fi
	done
}

# --- Cases of a test module ------------------------------------------------------------

# start_case CASE: run it; its result is in $name, $result and $why, the log
# in $tmp/slice, and what is wrong with that in $complaints.
start_case()
{
	mark
	if echo "$1" >"$parameters/run" 2>"$tmp/run"; then
		read -r result name why <"$parameters/result" || :
		name=${name%:}
	else
		name=$1 result=fail why="cannot run: $(cat "$tmp/run")"
	fi
	complaints=$(take_slice)
}

# report_case [MORE]: the result, and what the log and MORE have against it
# shellcheck disable=SC2120 # called with one elsewhere
report_case()
{
	against=
	[ "$result" = pass ] || [ "$result" = skip ] || against="${why:-no result}"
	for more in "$complaints" "${1:-}"; do
		[ -z "$more" ] || against="$against${against:+
}$more"
	done
	if [ -n "$against" ]; then
		not_ok "$name" "$against"
	elif [ "$result" = skip ]; then
		skip "$name" "$why"
	else
		ok "$name"
	fi
}

# run_case CASE
run_case()
{
	start_case "$1"
	report_case ""
}

# All of them, unless one hangs, which lets no other one run.
run_cases()
{
	count=$(cat "$parameters/count")
	i=0
	while [ "$i" -lt "$count" ]; do
		run_case "$i"
		i=$((i + 1))
		if [ "$why" = hangs ] && [ "$i" -lt "$count" ]; then
			not_ok rest "not run: $((count - i)) cases"
			return 0
		fi
	done
}
