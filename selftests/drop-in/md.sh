#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# md with pcpurefs: a RAID 1 of ram disks, an ext4 on it, written while the array is
# suspended and resumed, loses and regains a disk, is checked, goes clean, is stopped
# and assembled again.
#
# Two references: active_io, killed by a suspend and resurrected by a resume, and
# writes_pending, whose zero lets the array go clean.

# Functions are called by name, in eventually():
# shellcheck disable=SC2317

set -eu

# shellcheck source=selftests/drop-in/lib.sh
. "$(dirname "$0")/lib.sh"

begin_driver md_mod "brd rd_nr=2 rd_size=32768" raid1 ext4
md=/sys/block/md0/md
mnt=/mnt
mkdir -p $mnt

state_is()
{
	[ "$(cat $md/array_state)" = "$1" ]
}

idle_sync()
{
	[ "$(cat $md/sync_action)" = idle ]
}

whole()
{
	[ "$(cat $md/degraded)" = 0 ] && idle_sync
}

degraded()
{
	[ "$(cat $md/degraded)" = 1 ]
}

grown()
{
	[ "$(cat "$tmp"/written? 2>/dev/null | wc -l)" -gt $((before + 2)) ]
}

removed()
{
	mdadm /dev/md0 --remove /dev/ram1 >"$tmp/tool" 2>&1
}

# --- A new array ----------------------------------------------------------------------

why=$(tool mdadm --create /dev/md0 --run --metadata=1.2 --level=1 --raid-devices=2 \
	--bitmap=internal /dev/ram0 /dev/ram1) || :
verdict create "$why"
[ -z "$why" ] || finish

why=
eventually 120 whole || why="still $(cat $md/sync_action), degraded $(cat $md/degraded)"
verdict resync "$why"
verdict_ours has_references "$(has_refs '&mddev->active_io' '&mddev->writes_pending')"

# A write makes it active; when no write is under way for a while it is clean again.
# Both, several times: each is a switch to atomic mode and back.
echo 1.000 >$md/safe_mode_delay
why=
eventually 30 state_is clean || why="new: $(cat $md/array_state)"
i=0
while [ "$i" -lt "$(rounds 5 2)" ] && [ -z "$why" ]; do
	dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct 2>/dev/null
	state_is active || why="after a write: $(cat $md/array_state)"
	[ -n "$why" ] || eventually 30 state_is clean ||
		why="30 s after a write: $(cat $md/array_state)"
	i=$((i + 1))
done
verdict goes_clean_when_idle "$why"

# A range is suspended: a write to it waits, and one behind it does not.
echo 0 >$md/suspend_lo
echo 2048 >$md/suspend_hi
dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct 2>/dev/null &
held=$!
why=
dd if=/dev/zero of=/dev/md0 bs=4k count=1 seek=2048 oflag=direct 2>"$tmp/dd" ||
	why="a write behind the range: $(cat "$tmp/dd")"
sleep 0.5
kill -0 $held 2>/dev/null || why="$why the write did not wait"
echo 0 >$md/suspend_hi
wait $held || why="$why the write failed"
verdict suspended_range_holds_writes "$why"

# --- Under load ------------------------------------------------------------------------

make_blobs

# writer N: files, one after the other, each on disk before the next one
writer()
{
	n=0
	while [ ! -e "$tmp/enough" ]; do
		blob=blob$((n % 5))
		file=w$1.$((n % 16))
		dd if="$tmp/$blob" of="$mnt/$file" bs=64k conv=fsync 2>/dev/null || exit 1
		echo "$blob $file" >>"$tmp/written$1"
		n=$((n + 1))
	done
}

# The last contents of each file, as a list for sha256sum.
list_sums()
{
	awk 'FILENAME ~ /contents$/ { sum[$2] = $1; next }
		{ last[$2] = sum[$1] }
		END { for (f in last) print last[f] "  " f }' \
		"$tmp/contents" "$tmp"/written? >"$tmp/sums"
}

files_are_right()
{
	(cd $mnt && sha256sum -c "$tmp/sums") >"$tmp/sha" 2>&1 ||
		grep -v ': OK$' "$tmp/sha"
}

why=$(tool mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 /dev/md0 &&
	tool mount -t ext4 -o noatime /dev/md0 $mnt) || :
verdict file_system "$why"
if [ -n "$why" ]; then
	finish
fi

writers=
for w in 1 2 3; do
	: >"$tmp/written$w"
	writer $w &
	writers="$writers $!"
done

still_written()
{
	before=$(cat "$tmp"/written? 2>/dev/null | wc -l)
	eventually 60 grown || echo "nothing is written any more"
}

# Each store suspends the array and resumes it; between them a range is suspended.
i=0
size=$(cat /sys/block/md0/size)
while [ "$i" -lt "$(rounds 15 3)" ]; do
	echo 0 >$md/suspend_lo
	echo "$size" >$md/suspend_hi
	sleep 0.1
	echo 0 >$md/suspend_hi
	sleep 0.1
	i=$((i + 1))
done
verdict suspend_under_load "$(still_written)"

i=0
why=
while [ "$i" -lt "$(rounds 4 1)" ] && [ -z "$why" ]; do
	why=$(tool mdadm --grow /dev/md0 --bitmap=none &&
		tool mdadm --grow /dev/md0 --bitmap=internal) || :
	i=$((i + 1))
done
verdict bitmap_under_load "$why$(still_written)"

i=0
why=
while [ "$i" -lt "$(rounds 3 1)" ] && [ -z "$why" ]; do
	why=$(tool mdadm /dev/md0 --fail /dev/ram1) || break
	eventually 30 removed || why="remove: $(cat "$tmp/tool")"
	degraded || why="$why not degraded"
	why="$why$(still_written)"
	[ -n "$why" ] || why=$(tool mdadm /dev/md0 --re-add /dev/ram1) || break
	eventually 120 whole || why="$why not rebuilt: $(cat $md/sync_action)"
	i=$((i + 1))
done
verdict fail_remove_re_add_under_load "$why"

: >"$tmp/enough"
why=
for w in $writers; do
	wait "$w" || why="a writer failed"
done
list_sums
diag "$(cat "$tmp"/written? | wc -l) files written, $(wc -l <"$tmp/sums") to be checked"
verdict writers "$why"

why=
sync
echo 3 >/proc/sys/vm/drop_caches
verdict checksums "$(files_are_right)"

echo check >$md/sync_action
why=
eventually 120 idle_sync || why="still $(cat $md/sync_action)"
[ "$(cat $md/mismatch_cnt)" = 0 ] || why="$why mismatches: $(cat $md/mismatch_cnt)"
verdict check "$why"

# ext4 commits every five seconds what is left.
why=
eventually 60 state_is clean || why="state $(cat $md/array_state)"
verdict goes_clean_after_load "$why"

# --- Stopped and assembled ---------------------------------------------------------------

why=$(tool umount $mnt && tool mdadm --readonly /dev/md0) || :
if [ -z "$why" ]; then
	state_is readonly || why="state $(cat $md/array_state)"
	! dd if=/dev/zero of=/dev/md0 bs=4k count=1 seek=512 oflag=direct 2>/dev/null ||
		why="$why written while read-only"
	why="$why$(tool mdadm --readwrite /dev/md0)" || :
fi
verdict readonly_and_back "$why"

i=0
why=
while [ "$i" -lt "$(rounds 5 1)" ] && [ -z "$why" ]; do
	why=$(tool mdadm --stop /dev/md0 &&
		tool mdadm --assemble /dev/md0 /dev/ram0 /dev/ram1 &&
		tool e2fsck -f -n /dev/md0 &&
		tool mount -t ext4 -o noatime /dev/md0 $mnt) || break
	whole || why="degraded: $(cat $md/degraded)"
	why="$why$(files_are_right)"
	why="$why$(tool cp "$tmp/blob4" "$mnt/again" && tool umount $mnt)" || break
	echo 0.200 >$md/safe_mode_delay
	eventually 30 state_is clean || why="state $(cat $md/array_state)"
	i=$((i + 1))
done
[ -n "$why" ] || why=$(tool mdadm --stop /dev/md0) || :
verdict stop_and_assemble "$why"

# --- Nothing is left ----------------------------------------------------------------------

plain || {
	eventually 20 no_refs || :
	why=$(
		take_trace
		life '&mddev->active_io' init kill switch release resurrect exit
		life '&mddev->writes_pending' init switch release exit
		grep -q 'name=&mddev->writes_pending .* mode=atomic->percpu' "$tmp/trace" ||
			echo "no switch back to per-CPU mode"
	)
}
verdict_ours lives_in_trace "$why"
umount $mnt 2>/dev/null || :
end_driver raid1 md_mod
