# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# liburing's own tests, each in a folder of ext4, with a limit of its own. The
# verdicts are held against those of another kernel: none is given here.
# DROP_IN_LIBURING is their folder, DROP_IN_ONLY may choose some by name.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

limit=${DROP_IN_LIMIT:-40}

# A test that cannot be killed must not hold up the others.
run()
{
	rm -f "$work/rc"
	(
		cd "$work/disk" || exit 1
		rc=0
		timeout -s INT -k 3 "$limit" "$1" >"$work/log" 2>&1 </dev/null || rc=$?
		echo "$rc" >"$work/rc"
	) &
	patiently $((limit + 10)) test -s "$work/rc" || { echo hung; return; }
	read -r rc <"$work/rc"
	case $rc in
	0) echo pass ;;
	77) echo skip ;;
	124 | 137) echo timeout ;;
	*) echo "fail" ;;
	esac
}

only=$(echo "${DROP_IN_ONLY:-}" | tr , " ")
ext4 "$disk_work" "$work/disk" >/dev/null 2>&1
chmod 777 "$work/disk"
for t in "/host$DROP_IN_LIBURING"/*.t; do
	name=$(basename "$t" .t)
	case " ${only:-$name} " in
	*" liburing:$name "* | *" $name "*) ;;
	*) continue ;;
	esac
	echo "pcpuref-running: liburing $name" >/dev/kmsg
	verdict=$(run "$t")
	[ "$verdict" = pass ] || tail -n 3 "$work/log" | while IFS= read -r line; do
		printf 'pcpuref-note: %.200s\n' "$line" >/dev/kmsg
	done
	result liburing "$name" "$verdict"
	find "$work/disk" -mindepth 1 ! -name lost+found -delete 2>/dev/null
done
result liburing . end
exit 77
