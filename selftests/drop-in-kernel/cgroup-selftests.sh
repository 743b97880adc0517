# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The kernel's own selftests of cgroup, to be held against another kernel's.
# DROP_IN_CGROUP is their folder, DROP_IN_ONLY may choose programs by name.

# shellcheck source=selftests/drop-in-kernel/lib.sh
. /drop-in-kernel/lib.sh

only=$(echo "${DROP_IN_ONLY:-}" | tr , " ")
cp "/host$DROP_IN_CGROUP"/test_* "/host$DROP_IN_CGROUP"/wait_inotify "$work/"
cd "$work" || exit 1
# Swap for those that want to see some.
mkswap "$disk_swap" >/dev/null 2>&1 && swapon "$disk_swap"
for t in test_*; do
	# Some of them create groups in the current one.
	case " ${only:-$t} " in
	*" cgroup:$t:"* | *" $t "*) ;;
	*) continue ;;
	esac
	echo "pcpuref-running: cgroup $t" >/dev/kmsg
	rc=0
	timeout -k 3 "${DROP_IN_LIMIT:-300}" "./$t" >"$work/log" 2>&1 </dev/null || rc=$?
	sed -n -e 's/^ok [0-9]* \(.*\) # SKIP.*/\1 skip/p' -e '/# SKIP/d' \
		-e 's/^ok [0-9]* \([^#]*\).*/\1 pass/p' \
		-e 's/^not ok [0-9]* \([^#]*\).*/\1 fail/p' "$work/log" |
		while read -r name verdict; do
			result cgroup "$t:$name" "$verdict"
		done
	grep '^# ' "$work/log" | tail -n 5 | while IFS= read -r line; do
		printf 'pcpuref-note: %.200s\n' "$line" >/dev/kmsg
	done
	case $rc in
	124 | 137) result cgroup "$t" timeout ;;
	0 | 4) result cgroup "$t" pass ;;
	*) result cgroup "$t" fail ;;
	esac
done
swapoff "$disk_swap"
result cgroup . end
exit 77
