# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the subjects of drop-in-kernel share: steps, patience, devices. To be sourced.
# Runs in the machine that scripts/drop-in-kernel.sh boots; see
# scripts/guest-drop-in-kernel.sh.

tests=0
failures=0
refs=/sys/kernel/debug/pcpuref/refs
work=$(mktemp -d)

# The kernel drops no line of the log, but cuts long ones.
ktap()
{
	printf 'pcpuref-ktap: %.300s\n' "$1" >/dev/kmsg
}

# result SUITE TEST VERDICT
result()
{
	printf 'pcpuref-result: %s %s %s\n' "$1" "$2" "$3" >/dev/kmsg
}

# step NAME COMMAND...: a test. It passes if the command, with all that the
# function may consist of, succeeds; it is skipped if that exits with 77.
step()
{
	_name=$1
	shift
	tests=$((tests + 1))
	(
		set -eux
		"$@"
	) >"$work/log" 2>&1 </dev/null
	_rc=$?
	case $_rc in
	0) ktap "    ok $tests $_name" ;;
	77) ktap "    ok $tests $_name # SKIP $(grep -v '^+' "$work/log" | tail -n 1)" ;;
	*)
		failures=$((failures + 1))
		tail -n 25 "$work/log" | while IFS= read -r _line; do
			ktap "    # $_line"
		done
		ktap "    not ok $tests $_name"
		;;
	esac
}

finish()
{
	ktap "    1..$tests"
	rm -rf "$work"
	return $((failures > 0))
}

# patiently SECONDS COMMAND...: until it succeeds.
patiently()
{
	{
		_x=$-
		set +x
	} 2>/dev/null
	_until=$(($(cut -d . -f 1 /proc/uptime) + $1))
	shift
	until "$@"; do
		[ "$(cut -d . -f 1 /proc/uptime)" -lt "$_until" ] || {
			echo "in vain: $*"
			return 1
		}
		sleep 0.2
	done
	case $_x in
	*x*) set -x ;;
	esac
}

# reads FILE TEXT
reads()
{
	[ "$(cat "$1")" = "$2" ]
}

# How many references of each name there are.
kinds()
{
	awk 'NR > 1 { n[$2]++ } END { for (k in n) print k, n[k] }' "$refs" | sort
}

# A disk with ext4: ext4 DEVICE FOLDER
ext4()
{
	mkfs.ext4 -q -F "$1"
	mkdir -p "$2"
	mount -t ext4 "$1" "$2"
}

# The group above all others, made by boot.sh, and the disks of memory: each subject
# has some of its own.
# shellcheck disable=SC2034 # for those who source this
{
	cg=/sys/fs/cgroup/all
	disk_ext4=/dev/ram0
	disk_swap=/dev/ram1
	disk_md1=/dev/ram2
	disk_md2=/dev/ram3
	disk_work=/dev/ram4
}

# load SECONDS FILE [OPTION]...: fio in the background, with data that it checks.
load()
{
	_seconds=$1
	_file=$2
	shift 2
	fio --name=load --filename="$_file" --ioengine=io_uring --rw=randrw --bs=4k \
		--iodepth=8 --verify=crc32c --verify_backlog=64 --time_based --runtime="$_seconds" \
		--size=16M --output="$work/fio" "$@" &
	load=$!
}

# under_load COMMAND...: again and again until that fio is through, however slow
# the machine is.
under_load()
{
	_times=0
	sleep 2
	while kill -0 "$load"; do
		"$@"
		_times=$((_times + 1))
		sleep 0.1
	done
	[ "$_times" -ge 2 ]
	load_is_over
}

load_is_over()
{
	_rc=0
	wait "$load" || _rc=$?
	[ "$_rc" -eq 0 ] || tail -n 5 "$work/fio"
	return "$_rc"
}
