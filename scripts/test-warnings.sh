#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-warnings.sh: do the judges of the logs (warnings.awk, ktap.awk) see
# what they are there to see? A judge that lets all pass is worse than none.
# Prints KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
scripts=$top/scripts
# shellcheck source=scripts/lib.sh
. "$scripts/lib.sh"

# Every awk that is here: in the guest it is busybox's.
awks="awk"
for a in mawk gawk "busybox awk"; do
	! command -v "${a%% *}" >/dev/null 2>&1 || awks="$awks
$a"
done

# check NAME STATUS SCRIPT [PATTERN]: stdin is the log; the judgement must
# end with STATUS, and have a line that matches PATTERN.
check()
{
	_name=$1
	_status=$2
	_script=$3
	_pattern=${4:-}
	_log=$(cat)
	_ok=ok
	_ifs=$IFS
	IFS='
'
	for a in $awks; do
		IFS=$_ifs
		_rc=0
		# shellcheck disable=SC2086 # words: "busybox awk", "-v x=1"
		_out=$(printf '%s\n' "$_log" | $a -f "$scripts/"$_script) || _rc=$?
		if [ "$_rc" -ne "$_status" ] ||
		   ! printf '%s\n' "$_out" | grep -q -e "$_pattern"; then
			_ok="not ok"
			echo "# $a: exit status $_rc, not $_status, or no line like: $_pattern"
			printf '%s\n' "$_out" | sed 's/^/# /'
		fi
	done
	IFS=$_ifs
	[ "$_ok" = ok ] || failures=$((failures + 1))
	number=$((number + 1))
	echo "$_ok $number $_name"
}

echo "KTAP version 1"

check warnings_quiet_log 0 warnings.awk <<'END'
[    0.100000] Linux version 6.12
[    0.200000] pcpuref: loading out-of-tree module taints kernel.
[    0.200000] kmemleak: Kernel memory leak detector initialized
[    0.200000] ODEBUG: selftest passed
END

check warnings_leaks 1 warnings.awk 'kmemleak: 3 new' <<'END'
[    9.200000] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
END

check warnings_leaks_not_looked_for 1 warnings.awk 'kmemleak: ' <<'END'
[    9.200000] kmemleak: Cannot allocate a kmemleak_object structure
END

check warnings_leaks_no_more 1 warnings.awk 'kmemleak: ' <<'END'
[    9.200000] kmemleak: Kernel memory leak detector disabled
END

check warnings_allowed_does_not_come 0 warnings.awk <<'END'
[    1.000000] pcpuref-allow: something of the kernel
END

check warnings_allowed_comes 0 warnings.awk <<'END'
[    1.000000] pcpuref-allow: something of the kernel
[    1.000100] ------------[ cut here ]------------
[    1.000200] something of the kernel
[    1.000300] ---[ end trace 0000000000000000 ]---
END

check warnings_allowed_comes_twice 1 warnings.awk 'unexpected report: something of the kernel' <<'END'
[    1.000000] pcpuref-allow: something of the kernel
[    1.000100] ------------[ cut here ]------------
[    1.000200] something of the kernel
[    1.000300] ---[ end trace 0000000000000000 ]---
[    1.000400] ------------[ cut here ]------------
[    1.000500] something of the kernel
[    1.000600] ---[ end trace 0000000000000000 ]---
END

check warnings_expected_message_first 0 warnings.awk <<'END'
[    1.000000] pcpuref-expect: put too many
[    1.000001] ------------[ cut here ]------------
[    1.000002] pcpuref: put too many on (ref_release), caller f
[    1.000003] WARNING: CPU: 0 PID: 1 at pcpuref.c:10 f+0x1/0x2 [pcpuref]
[    1.000004] Modules linked in: pcpuref(O)
[    1.000005] CPU: 0 UID: 0 PID: 1 Comm: insmod
[    1.000006] Call Trace:
[    1.000007]  f+0x1/0x2
[    1.000008] ---[ end trace 0000000000000000 ]---
END

check warnings_expected_message_last 0 warnings.awk <<'END'
[    1.000000][   T12]     # a test: pcpuref-expect: put too many
[    1.000001][   T12] ------------[ cut here ]------------
[    1.000002][   T12] WARNING: pcpuref.c:10 at f+0x1/0x2, CPU#1: insmod/12
[    1.000003][   T12] pcpuref: put too many on (ref_release), caller f
[    1.000004][   T12] Modules linked in: pcpuref(O)
[    1.000008][   T12] ---[ end trace 0000000000000000 ]---
END

check warnings_unexpected 1 warnings.awk '^unexpected report: pcpuref: exit with' <<'END'
[    1.000000] pcpuref-expect: put too many
[    1.000001] ------------[ cut here ]------------
[    1.000002] pcpuref: put too many on (ref_release)
[    1.000003] WARNING: CPU: 0 PID: 1 at pcpuref.c:10 f+0x1/0x2 [pcpuref]
[    1.000008] ---[ end trace 0000000000000000 ]---
[    1.000011] ------------[ cut here ]------------
[    1.000012] pcpuref: exit with 3 references out
[    1.000013] WARNING: CPU: 0 PID: 1 at pcpuref.c:20 f+0x1/0x2 [pcpuref]
[    1.000018] ---[ end trace 0000000000000000 ]---
END

check warnings_no_message 1 warnings.awk '^unexpected report: WARNING: CPU: 0 PID: 1 at' <<'END'
pcpuref-expect: pcpuref_put
------------[ cut here ]------------
WARNING: CPU: 0 PID: 1 at pcpuref.c:10 pcpuref_put+0x1/0x2 [pcpuref]
Modules linked in: pcpuref(O)
---[ end trace 0000000000000000 ]---
END

check warnings_twice_where_once_expected 1 warnings.awk '^unexpected report' <<'END'
pcpuref-expect: put too many
pcpuref: misuse: put too many
pcpuref: misuse: put too many
END

check warnings_unmet 1 warnings.awk '^expected, but never reported: put too many' <<'END'
[    1.000000] pcpuref-expect: put too many
[    1.000000] pcpuref: misused
END

check warnings_before_the_expectation 1 warnings.awk '^unexpected report' <<'END'
pcpuref: misuse: put too many
pcpuref-expect: put too many
END

check warnings_empty_expectation 1 warnings.awk '^expectation without' <<'END'
pcpuref-expect: 
pcpuref: misuse: put too many
END

check warnings_notice 0 warnings.awk <<'END'
pcpuref-expect: put too many
pcpuref: misuse: put too many on ref_release
END

check warnings_cut_short 1 warnings.awk '^unexpected report: pcpuref: put' <<'END'
[    1.000001] ------------[ cut here ]------------
[    1.000002] pcpuref: put too many
END

check warnings_oops 1 warnings.awk '^kernel trouble: BUG: unable' <<'END'
[    1.000000] pcpuref-expect: BUG
[    1.000001] BUG: unable to handle page fault for address: 0000000000001000
[    1.000002] pcpuref: misuse: BUG
END

check warnings_oops_in_expected_splat 1 warnings.awk '^kernel trouble: Oops' <<'END'
pcpuref-expect: put too many
------------[ cut here ]------------
pcpuref: put too many
Modules linked in: pcpuref(O)
Oops: 0000 [#1] SMP
---[ end trace 0000000000000000 ]---
END

check warnings_lockdep 1 warnings.awk '^kernel trouble: WARNING: poss' <<'END'
WARNING: possible recursive locking detected
END

check warnings_plain_warning 1 warnings.awk '^kernel trouble: WARNING: some' <<'END'
WARNING: something new
END

check warnings_stall 1 warnings.awk '^kernel trouble: rcu: INFO' <<'END'
[   22.000000] rcu: INFO: rcu_sched self-detected stall on CPU
END

# race HEAD FRAME OTHER-FRAME [BELOW [FURTHER-BELOW]]: a report of KCSAN's, in the form of 7.3
race()
{
	cat <<-END
		[    9.000000] ==================================================================
		[    9.000001] BUG: KCSAN: data-race in $1
		[    9.000002]
		[    9.000003] write to 0xffff88800742cd80 of 8 bytes by interrupt on cpu 1:
		[    9.000004]  $2
		[    9.000005]  sysvec_apic_timer_interrupt+0x6e/0x80
		[    9.000006]  asm_sysvec_apic_timer_interrupt+0x1a/0x20
		[    9.000007]  pcpuref_put+0x12/0x40 [pcpuref_test_storm]
		[    9.000008]
		[    9.000009] read to 0xffff88800742cd80 of 8 bytes by task 77 on cpu 0:
		[    9.000010]  $3
		[    9.000011]  ${4:-kthread+0x1a4/0x1e0}
		[    9.000011]  ${5:-ret_from_fork+0x1a4/0x1e0}
		[    9.000012]
		[    9.000013] value changed: 0x0000000000000001 -> 0x0000000000000002
		[    9.000014]
		[    9.000015] Reported by Kernel Concurrency Sanitizer on:
		[    9.000016] CPU: 0 UID: 0 PID: 77 Comm: store Tainted: G           O        7.3.4 #1
		[    9.000017] ==================================================================
		[    9.000018] pcpuref: version 0.2.0
	END
}

a=hrtimer_wakeup
b=schedule_hrtimeout_range_clock

check warnings_race_of_the_kernel 0 warnings.awk <<END
$(race "$a / $b" "$a+0x1/0x20" "$b+0x1/0x20")
END

# A thread of ours sleeps.
check warnings_race_far_below_ours 0 warnings.awk <<END
$(race "$a / $b" "$a+0x1/0x20" "$b+0x1/0x20" "usleep_range_state+0x1/0x20" "f+0x1/0x20 [pcpuref]")
END

check warnings_race_below_ours 1 warnings.awk '^data race of ours: data-race in memcpy / g' <<END
$(race "memcpy / g" "memcpy+0x1/0x20" "g+0x1/0x20" "f+0x1/0x20 [porting_kref]")
END

# A client of percpu_ref has its inline functions.
check warnings_race_of_percpu_ref 0 warnings.awk <<END
$(race "percpu_ref_resurrect / user [porting_x]" "percpu_ref_resurrect+0x1/0x20" \
	"user+0x1/0x20 [porting_x]")
END

check warnings_race_inside_percpu_ref 0 warnings.awk <<END
$(race "__percpu_ref_switch_mode / put [porting_x]" "__percpu_ref_switch_mode+0x1/0x20" \
	"put+0x1/0x20 [porting_x]")
END

check warnings_race_beside_percpu_ref 1 warnings.awk '^data race of ours: ' <<END
$(race "percpu_refs_of_mine / user [porting_x]" "percpu_refs_of_mine+0x1/0x20" \
	"user+0x1/0x20 [porting_x]")
END

# A clock that is read while it is set.
check warnings_race_of_a_clock 0 warnings.awk <<END
$(race "ktime_get_mono_fast_ns+0xaf/0x1f0" "ktime_get_mono_fast_ns+0xaf/0x1f0" \
	"ktime_get_mono_fast_ns+0xaf/0x1f0" "__pcpuref_event+0x1/0x20 [pcpuref]")
END

check warnings_race_with_ours 1 warnings.awk "^data race of ours: data-race in $a / store_get" <<END
$(race "$a / store_get" "$a+0x1/0x20" "store_get+0x10/0x20 [pcpuref_store]")
END

check warnings_race_of_ours 1 warnings.awk '^data race of ours: data-race in f \[pcpuref\] / g' <<END
$(race "f [pcpuref] / g" "f+0x1/0x20 [pcpuref]" "g+0x1/0x20")
END

check warnings_race_cut_short 1 warnings.awk '^data race of ours: data-race in f / g' <<END
$(race "f / g" "f+0x1/0x20 [pcpuref]" "g+0x1/0x20" | head -n 5)
END

check warnings_race_after_race 1 warnings.awk '^data race of ours: data-race in f / g' <<END
$(race "f / g" "f+0x1/0x20 [pcpuref]" "g+0x1/0x20" | head -n 5)
$(race "$a / $b" "$a+0x1/0x20" "$b+0x1/0x20")
END

check warnings_trouble_in_race 1 warnings.awk '^kernel trouble: BUG: kernel NULL' <<END
$(race "$a / $b" "$a+0x1/0x20" "$b+0x1/0x20" | sed '8s/.*/BUG: kernel NULL pointer/')
END

check ktap_innermost 0 ktap.awk '^3 passed, 0 failed, 1 skipped$' <<'END'
KTAP version 1
1..2
    KTAP version 1
    # Subtest: a
    1..2
    ok 1 x
        KTAP version 1
        # Subtest: y
        ok 1 p # SKIP no reason
        ok 2 q
    ok 2 y
ok 1 a
ok 2 b
END

check ktap_failed 1 ktap.awk '^1 passed, 1 failed, 0 skipped$' <<'END'
KTAP version 1
1..1
    # Subtest: a
    1..2
    ok 1 x
    # y: EXPECTATION FAILED at a.c:1
    not ok 2 y
not ok 1 a
END

check ktap_reason_is_shown 1 ktap.awk 'EXPECTATION FAILED at a.c:1' <<'END'
KTAP version 1
1..1
[    0.100000]     # y: EXPECTATION FAILED at a.c:1
[    0.200000]     not ok 1 y
[    0.200000] not ok 1 a
END

check ktap_only_the_parent_failed 1 ktap.awk '^1 passed, 1 failed, 0 skipped$' <<'END'
1..1
    1..1
    ok 1 x
not ok 1 a
END

check ktap_plan_not_kept 1 ktap.awk '^error: planned 3 results below "a", got 1' <<'END'
1..1
    1..3
    ok 1 x
ok 1 a
END

check ktap_cut_short 1 ktap.awk '^error: the last suite did not' <<'END'
1..1
    1..3
    ok 1 x
END

check ktap_nothing 1 ktap.awk '^error: no test was executed' <<'END'
KTAP version 1
1..0
END

check ktap_only_skips 1 ktap.awk '^error: no test was executed' <<'END'
KTAP version 1
1..1
ok 1 a # SKIP
END

check ktap_may_skip 0 "ktap.awk -v may_skip=two_CPUs|one_CPU" '^1 passed, 0 failed, 1 skipped$' <<'END'
KTAP version 1
1..2
ok 1 a # SKIP needs two_CPUs
ok 2 b
END

check ktap_may_not_skip 1 "ktap.awk -v may_skip=two_CPUs|one_CPU" \
	'^error: "b" was skipped, and has no reason to be: no CPU can be taken' <<'END'
KTAP version 1
1..3
ok 1 a # SKIP needs two_CPUs
ok 2 b # SKIP no CPU can be taken offline
ok 3 c
END

# A reason has to be given.
check ktap_skip_without_reason 1 "ktap.awk -v may_skip=two_CPUs" '^error: "a" was skipped' <<'END'
KTAP version 1
1..2
ok 1 a # SKIP
ok 2 b
END

check ktap_empty_suite 1 "ktap.awk -v kernel_log=1" '^error: "b" ran no test' <<'END'
1..2
    1..1
    ok 1 x
ok 1 a
    1..0
ok 2 b
END

check ktap_module_without_tests 1 "ktap.awk -v kernel_log=1" '^error: module n ran no' <<'END'
pcpuref-load: m
1..1
    1..1
    ok 1 x
ok 1 a
pcpuref-loaded: m 0
pcpuref-load: n
pcpuref-loaded: n 0
END

check ktap_module_died 1 "ktap.awk -v kernel_log=1" '^error: module n was not' <<'END'
pcpuref-load: m
1..1
    1..1
    ok 1 x
ok 1 a
pcpuref-loaded: m 0
pcpuref-load: n
END

check ktap_two_modules 0 "ktap.awk -v kernel_log=1" '^2 passed, 0 failed, 0 skipped$' <<'END'
[    0.100000] pcpuref-load: m
[    0.100000] KTAP version 1
[    0.100000] 1..1
[    0.100000]     KTAP version 1
[    0.100000]     # Subtest: a
[    0.100000]     1..1
[    0.100000]     ok 1 x
[    0.100000] ok 1 a
[    0.100000] pcpuref-loaded: m 0
[    0.100000] pcpuref-load: n
[    0.100000] KTAP version 1
[    0.100000] 1..1
[    0.100000]     1..1
[    0.100000]     ok 1 y
[    0.100000] ok 1 b
[    0.100000] pcpuref-loaded: n 0
END

check ktap_time_of_a_program 0 ktap.awk '^a *1 *0 *0 *12s$' <<'END'
1..1
    1..1
    # x: 3 s
    ok 1 x
# a: 12 s
# the log has wrapped
ok 1 a
END

check ktap_time_by_stamps 0 "ktap.awk -v kernel_log=1" '^b *1 *0 *0 *5s$' <<'END'
[    1.000000] KTAP version 1
[    1.000000] 1..2
[    1.000000]     1..1
[    3.000000]     ok 1 x
[    3.000000] ok 1 a
[    4.000000]     1..1
[    7.900000]     ok 1 x
[    8.000000] ok 2 b
END

check ktap_no_time 0 ktap.awk '^a *1 *0 *0 *-$' <<'END'
1..1
ok 1 a
END

check ktap_problems_of_the_caller 1 "ktap.awk -v problems=1" '^1 passed, 1 failed, 0 skipped$' <<'END'
1..1
ok 1 a
END

# complain NAME LOG EXPECTED: what lib.sh makes of the judge's answer
complain()
{
	_said=$(complaints "$2" 2>/dev/null)
	_why=
	[ "$_said" = "$3" ] || _why="not \"$3\" but \"$_said\""
	verdict "$1" "$_why"
}

in_log=$(mktemp)
trap 'rm -f "$in_log"' EXIT
cat >"$in_log" <<'END'
[    1.0] BUG: a \path\n\c
[    2.0] all is well
END
complain complaints_as_they_are "$in_log" 'kernel trouble: BUG: a \path\n\c'
complain complaints_of_nothing /dev/null ""
complain complaints_of_no_log /nowhere "warnings.awk failed"

echo "1..$number"
[ "$failures" -eq 0 ]
