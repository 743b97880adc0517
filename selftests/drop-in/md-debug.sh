#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# md with PCPUREF_DEBUG: a member of the array holds a write, and the report says
# which of md's functions have the references that are out.

# Functions are called by name, in eventually():
# shellcheck disable=SC2317

set -eu

# shellcheck source=selftests/drop-in/lib.sh
. "$(dirname "$0")/lib.sh"

begin_driver md_mod pcpuref_holders "brd rd_nr=2 rd_size=16384" dm_mod raid1
echo 3 >/sys/module/pcpuref_watch/parameters/stuck_secs
md=/sys/block/md0/md

state_is()
{
	[ "$(cat "$md/array_state")" = "$1" ]
}

# Write 4 kB, in the background; $held is its process.
start_write()
{
	dd if=/dev/zero of=/dev/md0 bs=4k count=1 seek="$1" oflag=direct 2>/dev/null &
	held=$!
	sleep 0.5
}

# The dump of a reference: what its holders are. Called in subshells only: the
# mark of the whole test stays.
holders_of()
{
	echo >>"$tmp/dumps"
	marker="pcpuref-drop-in: dump $(wc -l <"$tmp/dumps")"
	echo "$marker" >/dev/kmsg
	id_of "$1" >"$refs/dump"
	slice >"$tmp/dump"
	grep 'pcpuref_holders: ' "$tmp/dump" || echo "the dump names no holders"
}

# names REFERENCE FUNCTION: the function holds it, once
names()
{
	holders_of "$1" >"$tmp/holders"
	grep "holder: $2[.a-z0-9]*+0x.* \[md_mod\] outstanding=1 " "$tmp/holders" \
		>>"$tmp/named" || {
		echo "$1 is not held by $2, but:"
		cat "$tmp/holders"
	}
}

nobody()
{
	holders_of "$1" | grep -q 'holder: none known by call site' ||
		echo "$1 is held: $(cat "$tmp/dump")"
}

why=
size=$(cat /sys/block/ram0/size)
for i in 0 1; do
	[ -n "$why" ] || why=$(tool dmsetup create --noudevsync "member$i" \
		--table "0 $size linear /dev/ram$i 0") || :
done
[ -n "$why" ] || why=$(tool mdadm --create /dev/md0 --run --metadata=1.2 --level=1 \
	--raid-devices=2 --assume-clean --bitmap=none \
	/dev/mapper/member0 /dev/mapper/member1) || :
verdict create "$why"
[ -z "$why" ] || finish

# Work that is over leaves no holder.
dd if=/dev/zero of=/dev/md0 bs=64k count=64 oflag=direct 2>/dev/null
dd if=/dev/md0 of=/dev/null bs=64k count=64 iflag=direct 2>/dev/null
verdict nobody_after_work "$(nobody '&mddev->active_io')$(nobody '&mddev->writes_pending')"

# The array is active and stays so: the data is what the member holds. Its reference
# was taken by md_account_bio(); md_handle_request() has taken one before and put it
# since, which is not to be named.
carriers=md_account_bio
echo 0 >$md/safe_mode_delay
dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct 2>/dev/null
why=$(tool dmsetup suspend --nolockfs --noudevsync member1) || :
start_write 8
kill -0 $held 2>/dev/null || why="$why the write is not held"
verdict held_write_is_named "$why$(names '&mddev->active_io' "$carriers")$(
	names '&mddev->writes_pending' md_write_start)"

# Who wants to suspend the array waits for it, and the watchdog says for whom.
echo 0 >$md/suspend_lo &
suspender=$!
reported()
{
	dmesg | grep -q 'ref &mddev->active_io .*is stuck: killed .* by mddev_suspend.*\[md_mod\]'
}
why=
eventually 30 reported || why="the watchdog says nothing"
why="$why$(names '&mddev->active_io' "$carriers")"
kill -0 $suspender 2>/dev/null || why="$why the suspend did not wait"
verdict watchdog_names_it "$why"

why=$(tool dmsetup resume --noudevsync member1) || :
wait $held || why="$why the write failed"
wait $suspender || why="$why the suspend failed"
verdict released "$why$(nobody '&mddev->active_io')$(nobody '&mddev->writes_pending')"

# The array is clean: the first write waits for the superblock, in md_write_start().
echo 0.200 >$md/safe_mode_delay
dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct 2>/dev/null
why=
eventually 30 state_is clean || why="state $(cat $md/array_state)"
why="$why$(tool dmsetup suspend --nolockfs --noudevsync member1)" || :
start_write 16
kill -0 $held 2>/dev/null || why="$why the write is not held"
verdict first_write_is_named "$why$(
	names '&mddev->active_io' '\(md_handle_request\|md_submit_bio\)')$(
	names '&mddev->writes_pending' md_write_start)"
why=$(tool dmsetup resume --noudevsync member1) || :
wait $held || why="$why the write failed"
verdict released_again "$why$(nobody '&mddev->active_io')$(nobody '&mddev->writes_pending')"
diag "$(cat "$tmp/named")"

why=$(tool mdadm --stop /dev/md0 && tool dmsetup remove --noudevsync member0 &&
	tool dmsetup remove --noudevsync member1) || :
verdict stop "$why"
why=$(take_trace)
end_driver raid1 md_mod
