#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# debug-check.sh [kasan|kcsan]... [TASK]...: the tests in the kernels of
# debug-kernel.sh, on 4 virtual CPUs, without a single report. The tasks:
#
#   kunit     the KUnit suites, by the kernel's own KUnit
#   selftest  the programs of selftests/; SELFTESTS="a.sh b.sh" chooses some
#   stress    everything at random for SECS seconds (600), with STRESS_SEED (0: a new one)
#   blind     does the kernel see what it should? A mistake of each kind, and with kcsan the
#             same storm.sh as above, of a core with plain reads of the word: all must be
#             reported
#
# Without a kernel both, without a task all. Prints the results and ends with
# "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

kernels=
tasks=
for word; do
	case $word in
	kasan | kcsan) kernels="$kernels $word" ;;
	kunit | selftest | stress | blind) tasks="$tasks $word" ;;
	*) die "usage: $0 [kasan|kcsan]... [kunit|selftest|stress|blind]..." ;;
	esac
done
secs=${SECS:-600}

# build SOURCES TO SUBDIR...: modules of these sources, in TO/modules and TO/kunit
build()
{
	sources=$1
	to=$2
	shift 2
	mkdir -p "$to"
	"$sources/scripts/build-modules.sh" "$KDIR" "$to/build" "$@"
	rm -rf "$to/modules" "$to/kunit"
	mkdir "$to/modules" "$to/kunit"
	find "$to/build" -name '*.ko' ! -path '*/kunit/*' -exec cp {} "$to/modules/" \;
	find "$to/build/kunit" -name '*.ko' -exec cp {} "$to/kunit/" \;
}

# files_of NAME: of one machine
files_of()
{
	log=$work/$1.log
	dmesg=$work/$1.dmesg
	faults=$work/$1.faults
}

# boot TESTS MODULES PARAMETER...: run $task. TESTS is the task of another machine;
# $settings are for it. Leaves the console in $log, the kernel's log in $dmesg, and in
# $faults what is wrong and no test says.
boot()
{
	tests=$1
	modules=$2
	shift 2
	{
		echo "export FLAVOUR=$kernel MODDIR=/modules $settings"
		cat "$top/scripts/guest-debug.sh"
	} >"$work/task"
	rm -rf "$work/selftests"
	cp -R "$top/selftests" "$work/selftests"
	cp "$top/scripts/warnings.awk" "$work/selftests/"
	"$top/scripts/initramfs.sh" "$work/initramfs" "$work/task" \
		"$top/scripts/guest-$tests.sh:tests" "$modules/modules:modules" \
		"$modules/kunit:kunit" "$work/selftests:selftests"
	status=0
	# shellcheck disable=SC2086 # a list of words
	MEM=${MEM:-$memory} TIMEOUT=${TIMEOUT:-$((secs + 3000))} "$top/scripts/vm.sh" "$IMAGE" \
		"$work/initramfs" "$log" log_buf_len=16M quiet loglevel=2 $parameters "$@" || status=$?
	# A line that the console was interrupted in is printed again: only the
	# kernel's own copy of its log has each line once.
	sed -n '/^pcpuref-dmesg: begin/,/^pcpuref-dmesg: end/p' "$log" |
		sed '/^pcpuref-/d' >"$dmesg"
	{
		sed -n 's/^.*pcpuref-fault: //p' "$log" "$dmesg" | sort -u
		[ "$status" -lt 124 ] || echo "the machine ended with status $status"
		[ -s "$dmesg" ] || echo "the kernel's log is not in $log"
	} >"$faults"
}

# judge LOG [AWK-OPTION]...: a report of the results in LOG, and of what is wrong besides
judge()
{
	results=$1
	shift
	complaints "$dmesg" >>"$faults"
	sed 's/^/error: /' "$faults"
	awk "$@" -v problems="$(wc -l <"$faults")" -v may_skip="$(may_skip "$kernel")" \
		-f "$top/scripts/ktap.awk" "$results"
}

# What the programs of selftests/ have printed.
judge_programs()
{
	sed -n '/^pcpuref-guest: start/,/^pcpuref-\(guest: exit\|dmesg: begin\)/p' "$log" |
		grep -v '^pcpuref-' >"$work/ktap" || :
	judge "$work/ktap"
}

# The sources with plain reads of the word, in folder $1.
spoil()
{
	rm -rf "$1"
	mkdir -p "$1"
	(cd "$top" && tar -cf - --exclude=./.git .) | tar -xf - -C "$1"
	find "$1/pcpuref.h" "$1/pcpuref.c" "$1/core" -name '*.[ch]' \
		-exec sed -i 's/READ_ONCE(\([a-z>-]*->word\))/(\1)/' {} +
}

judge_plain_word()
{
	complaints "$dmesg" >"$work/blind.warnings"
	seen=$(grep -c '^data race of ours: ' "$work/blind.warnings" || :)
	echo "# $seen reports of a race"
	why=$(cat "$faults")
	[ "$seen" -gt 0 ] || why="$why
no report names pcpuref, see $log"
	verdict plain_word_is_reported "$why"
}

# reported MISTAKE TEXT: the judge of the logs finds TEXT in what came of that mistake.
reported()
{
	sed -n "/pcpuref-mistake: $1\$/,/pcpuref-mistake: /p" "$dmesg" >"$work/blind.slice"
	why=
	complaints "$work/blind.slice" | grep -q "$2" || why="not reported: $2
$(cat "$work/blind.slice")"
	verdict "$1_is_reported" "$why"
}

# The mistakes of pcpuref_test_mistakes.c.
judge_mistakes()
{
	reported no_read_side 'suspicious RCU usage'
	reported sleep_in_atomic 'BUG: sleeping function called'
	reported cpu_may_change 'BUG: using smp_processor_id() in preemptible'
	reported shift 'UBSAN: shift-out-of-bounds'
	reported order_of_locks 'possible circular locking dependency'
	reported bounds 'UBSAN: array-index-out-of-bounds'
	# What guest-init.sh finds at the end.
	echo "lockdep is off" >"$work/blind.faults"
	if [ "$kernel" = kasan ]; then
		reported queued_twice 'ODEBUG: activate active'
		reported use_after_free 'BUG: KASAN: slab-use-after-free'
		echo "memory was leaked" >>"$work/blind.faults"
	fi
	why=
	cmp -s "$work/blind.faults" "$faults" || why="expected:
$(cat "$work/blind.faults")
but:
$(cat "$faults")"
	verdict faults_are_found "$why"
}

rc=0
reports=
for kernel in ${kernels:-kasan kcsan}; do
	assignments=$("$top/scripts/debug-kernel.sh" "$kernel")
	eval "$assignments"
	work_dir "debug-$kernel"
	# Some tests use all of it up, which takes long here. KASAN wants a part for itself.
	case $kernel in
	kasan)
		memory=1G
		# Where slabs are checked there are no sheaves, whose old pointers hide leaks
		# from kmemleak.
		parameters="kasan_multi_shot slab_debug=F"
		;;
	kcsan)
		memory=512M
		# As it comes, KCSAN looks at one access in four thousand, and for so long that
		# the others are held up. With this it finds a race within half a minute.
		parameters="kcsan.skip_watch=12 kcsan.udelay_task=5 kcsan.udelay_interrupt=3"
		;;
	esac
	subdirs="samples samples/porting samples/porting/shim samples/porting/shim-kref
		holders watch selftests/test_modules"
	# Long to compile.
	case ${tasks:-kunit} in
	*kunit*) subdirs="$subdirs kunit" ;;
	esac
	say "compiling modules and tests for the kernel with $kernel"
	# shellcheck disable=SC2086 # a list of words
	build "$top" "$work" $subdirs
	for task in ${tasks:-kunit selftest stress blind}; do
		started=$(date +%s)
		files_of "$task"
		report=$work/$task.report
		# Everything is slower here.
		settings="SELFTEST_TIMEOUT=$((secs + 1200))"
		# It takes a storm so long to meet a race.
		[ "$kernel" != kcsan ] || settings="$settings SECONDS_EACH=25"
		echo "== $kernel $task"
		case $kernel-$task in
		*-kunit)
			# All sequences of some suites take minutes there, for which insmod waits.
			boot kunit "$work" kunit.enable=1 kunit.autorun=1 kunit.timeout=1200 \
				sysctl.kernel.hung_task_timeout_secs=1200
			judge "$dmesg" -v kernel_log=1 >"$report" || rc=1
			;;
		*-selftest)
			[ -z "${SELFTESTS:-}" ] ||
				settings="$settings SELFTESTS=$(quote "$SELFTESTS")"
			boot selftest "$work"
			judge_programs >"$report" || rc=1
			;;
		*-stress)
			# "make stress" runs the rest of it, on a kernel that is faster.
			settings="$settings SELFTESTS=stress.sh STRESS_ONLY=1"
			settings="$settings STRESS_SECS=$secs STRESS_SEED=${STRESS_SEED:-0}"
			# With KCSAN on a busy host a grace period has taken a minute.
			settings="$settings STRESS_PATIENCE=300"
			boot selftest "$work"
			judge_programs >"$report" || rc=1
			;;
		*-blind)
			number=0
			failures=0
			boot blind "$work"
			judge_mistakes >"$report"
			if [ "$kernel" = kcsan ]; then
				files_of plain-word
				spoil "$work/blind/sources"
				build "$work/blind/sources" "$work/blind" holders \
					selftests/test_modules
				settings="$settings SELFTESTS=storm.sh"
				boot selftest "$work/blind"
				judge_plain_word >>"$report"
			fi
			printf '\n%d passed, %d failed, 0 skipped\n' $((number - failures)) \
				"$failures" >>"$report"
			[ "$failures" -eq 0 ] || rc=1
			;;
		esac
		cat "$report"
		echo "# $kernel $task: $(($(date +%s) - started)) s"
		echo "# the console and the kernel's log: $log"
		reports="$reports $report"
	done
done

# shellcheck disable=SC2086 # a list of words: no blanks in the cache's path
add_up $reports || rc=1
exit "$rc"
