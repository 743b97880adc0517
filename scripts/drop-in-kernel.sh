#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# drop-in-kernel.sh [PART]...: Linux itself on pcpuref. The source of a kernel
# is built as it is, and with pcpuref in the place of percpu_ref (graft.sh); both
# run under User Mode Linux, on several CPUs, with lockdep and object debugging.
#
#   work       cgroups, memory, io_uring, aio, block devices, ext4, md, swap; then
#              the references that there are must be those after boot
#   selftests  the kernel's selftests of cgroup: what passes on the kernel as it
#              is must pass on pcpuref
#   liburing   liburing's own tests, likewise
#   iops       requests a second of fio on null_blk, on kernels without the
#              debugging, in turns; a figure, not a verdict
#
# Without PART all of them. Prints the results and ends with
# "N passed, N failed, N skipped".
#
# Environment: SMP (4), MEM (1G), TIMEOUT of each machine (3600); for "work" SUBJECTS
# of selftests/drop-in-kernel/ and DROP_IN_COUNT, how many groups at a time (100);
# for the suites DROP_IN_ONLY, names with commas between them; for iops ROUNDS (5).

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

parts=${*:-work selftests liburing iops}
for p in $parts; do
	case $p in
	work | selftests | liburing | iops) ;;
	*) die "usage: $0 [work|selftests|liburing|iops]..." ;;
	esac
done
wanted()
{
	case " $parts " in
	*" $1 "*) return 0 ;;
	*) return 1 ;;
	esac
}

subjects=${SUBJECTS:-cgroup memcg io null_blk ext4 md swap}
version_of_suites=1

# --- What is needed ------------------------------------------------------------

need_build_packages
need_packages fio mdadm e2fsprogs util-linux mount perl-base procps busybox-static binutils
kernel_source 7

# A kernel tree that does not match is told now, not by a compiler.
work_dir drop-in-kernel
"$top/scripts/graft.sh" -n "$source" >"$work/patch" ||
	die "pcpuref does not fit into $(cat "$source/.complete")"

# The kernel's selftests are not in the source that others build from.
cgroup_tests()
{
	set -- "$(cat "$source/.complete")"
	cgroup_tests=$cache/cgroup-selftests-$version_of_suites-${1##* }
	lock cgroup-selftests
	if [ ! -e "$cgroup_tests/.complete" ]; then
		apt_tree trixie
		_unpacked=$(mktemp -d "$cache/selftests.tmp.$$.XXXXXX")
		fetch "$_unpacked" "${1% *}=${1##* }"
		say "building the kernel's selftests of cgroup"
		tar -xJf "$_unpacked/usr/src/${1% *}.tar.xz" -C "$_unpacked" \
			--strip-components=1 --wildcards \
			'*/tools/testing/selftests/cgroup' \
			'*/tools/testing/selftests/*.h' \
			'*/tools/testing/selftests/*.mk' \
			'*/tools/testing/selftests/kselftest'
		mkdir -p "$cgroup_tests"
		make -C "$_unpacked/tools/testing/selftests/cgroup" \
			OUTPUT="$cgroup_tests" >"$cgroup_tests/log" 2>&1 9>&- ||
			die "cannot build the selftests of cgroup, see $cgroup_tests/log"
		rm -rf "$_unpacked"
		: >"$cgroup_tests/.complete"
	fi
	unlock
}

# Debian 13's, which knows the calls of newer kernels. Its sources are another
# index: an apt tree of its own.
liburing_tests()
{
	liburing_tests=$cache/liburing-$version_of_suites
	lock liburing
	if [ ! -e "$liburing_tests/.complete" ]; then
		apt_tree trixie
		tree=$cache/apt/trixie-source
		mkdir -p "$tree/lists/partial" "$tree/debs"
		_main=$(mirror)
		[ -n "$_main" ] || die "no Debian mirror in the machine's package sources; set PCPUREF_MIRROR=URL"
		echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $_main trixie main" \
			>"$tree/sources.list"
		say "fetching liburing's source"
		rm -rf "$liburing_tests"
		mkdir -p "$liburing_tests"
		(
			in_tree apt-get -q update &&
				cd "$liburing_tests" &&
				in_tree apt-get -q source --download-only liburing
		) >"$liburing_tests.log" 2>&1 9>&- ||
			die "cannot fetch liburing's source, see $liburing_tests.log"
		tar -xzf "$liburing_tests"/liburing_*.orig.tar.gz -C "$liburing_tests" \
			--strip-components=1
		say "building liburing's tests"
		(
			cd "$liburing_tests"
			./configure --prefix=/usr
			make -j"$(nproc)" -C src
			make -j"$(nproc)" -C test CFLAGS="-g -O1"
		) >>"$liburing_tests.log" 2>&1 9>&- ||
			die "cannot build liburing's tests, see $liburing_tests.log"
		: >"$liburing_tests/.complete"
	fi
	unlock
	liburing_tests=$liburing_tests/test
}

# --- The kernels -----------------------------------------------------------------

# Both flavours: what boots, what the programs of a distribution want, what has
# references to count.
common="64BIT SMP PREEMPT MODULES MODULE_UNLOAD BLK_DEV_INITRD RD_GZIP
BINFMT_ELF BINFMT_SCRIPT MULTIUSER FUTEX EPOLL SIGNALFD TIMERFD EVENTFD
POSIX_TIMERS FILE_LOCKING ADVISE_SYSCALLS MEMBARRIER HIGH_RES_TIMERS SYSVIPC
AIO IO_URING SHMEM TMPFS PROC_FS SYSFS DEVTMPFS DEBUG_FS HOSTFS CONFIGFS_FS
PRINTK PRINTK_TIME KALLSYMS BUG STDERR_CONSOLE NULL_CHAN
CGROUPS BLK_CGROUP BLOCK BLK_DEV BLK_DEV_NULL_BLK BLK_DEV_RAM
FTRACE ENABLE_DEFAULT_TRACERS"

debug="INOTIFY_USER FANOTIFY NAMESPACES USER_NS POSIX_MQUEUE TMPFS_XATTR
KALLSYMS_ALL MEMCG CGROUP_SCHED FAIR_GROUP_SCHED CFS_BANDWIDTH CGROUP_PIDS
CGROUP_FREEZER CPUSETS CGROUP_DEVICE CGROUP_CPUACCT CGROUP_MISC PSI
BLK_DEV_LOOP MQ_IOSCHED_DEADLINE MQ_IOSCHED_KYBER IOSCHED_BFQ BFQ_GROUP_IOSCHED
BLK_DEV_THROTTLING BLK_CGROUP_IOLATENCY BLK_CGROUP_IOCOST
SWAP ZSWAP CRYPTO CRYPTO_LZO MD BLK_DEV_MD MD_BITMAP MD_LLBITMAP MD_RAID1
EXT4_FS NET UNIX INET BPF_SYSCALL CGROUP_BPF NVME_TARGET NVME_TARGET_LOOP
DYNAMIC_DEBUG DEBUG_KERNEL DEBUG_PREEMPT PROVE_LOCKING DEBUG_ATOMIC_SLEEP
DEBUG_LIST DEBUG_OBJECTS DEBUG_OBJECTS_FREE DEBUG_OBJECTS_RCU_HEAD
DEBUG_OBJECTS_WORK DEBUG_OBJECTS_TIMERS DEBUG_OBJECTS_PERCPU_COUNTER
DETECT_HUNG_TASK"

# config debug|fast [OPTION]...
config()
{
	case $1 in
	debug) _options="$common $debug" ;;
	fast) _options=$common ;;
	esac
	shift
	for _o in $_options "$@"; do
		echo "CONFIG_$_o=y"
	done
	echo "CONFIG_NR_CPUS=16"
}

# build SOURCE DIR NAME: what DIR/fragment says; goes on where a build stopped.
build()
{
	kbuild "$2/config.log" "$2" -C "$1" ARCH=um O="$2" \
		KCONFIG_ALLCONFIG="$2/fragment" allnoconfig
	while read -r line; do
		grep -qx "$line" "$2/.config" || die "the kernel has no ${line%=*}"
	done <"$2/fragment"
	say "building UML ($3), some minutes"
	kbuild "$2/build.log" "$2" -C "$1" ARCH=um O="$2" -j"$(nproc)"
	[ -x "$2/linux" ] || die "no UML program, see $2/build.log"
}

# unchanged FLAVOUR: the kernel as it is, of use to every checkout.
unchanged()
{
	config "$1" >"$work/fragment"
	key=$(cat "$work/fragment" "$source/.complete" | sha256sum | cut -c 1-12)
	dir=$cache/uml-unchanged-$1-$key
	lock "uml-unchanged-$1"
	if [ ! -e "$dir/.complete" ]; then
		mkdir -p "$dir"
		cp "$work/fragment" "$dir/fragment"
		build "$source" "$dir" "$1, as it is"
		: >"$dir/.complete"
		for old in "$cache/uml-unchanged-$1"-*; do
			[ "$old" = "$dir" ] || rm -rf "$old"
		done
	fi
	unlock
}

# The tree of its own is made of links; only what graft.sh changes is new. After
# a change to pcpuref only what depends on it is compiled again.
grafted_tree()
{
	key=$(cat "$source/.complete" "$top/scripts/graft.sh" | sha256sum | cut -c 1-12)
	if [ "$(cat "$work/tree.key" 2>/dev/null)" != "$key" ]; then
		rm -rf "$work/tree" "$work/tree.key"
		say "making a tree with pcpuref in it"
		cp -al "$source" "$work/tree"
	fi
	"$top/scripts/graft.sh" "$work/tree"
	echo "$key" >"$work/tree.key"
}

grafted()
{
	mkdir -p "$work/$1"
	config "$1" PCPUREF_REPLACES_PERCPU_REF PCPUREF_WATCH >"$work/$1/fragment"
	build "$work/tree" "$work/$1" "$1, on pcpuref"
	nm "$work/$1/linux" | grep -E ' [TtDdRr] (__ksymtab_)?percpu_ref_' |
		grep -v ' percpu_ref_stay_atomic$' >"$work/left" || :
	if [ -s "$work/left" ]; then
		cat "$work/left" >&2
		die "functions of percpu_ref in the kernel on pcpuref"
	fi
}

# --- Machines ------------------------------------------------------------------

params="loglevel=7 pcpuref_watch.stuck_secs=600 printk.devkmsg=on null_blk.nr_devices=0 brd.rd_nr=5 brd.rd_size=65536"

# boot KERNEL LOG SUBJECTS [PARAMETER]...: what went wrong goes to $work/problems.
boot()
{
	_linux=$1/linux
	_console=$2
	_subjects=$(echo "$3" | tr ' ' ,)
	shift 3
	_status=0
	# shellcheck disable=SC2086 # a list of words
	MEM=${MEM:-1G} TIMEOUT=${TIMEOUT:-3600} "$top/scripts/uml-boot.sh" "$_linux" \
		"$work/initramfs" "$_console" $params "DROP_IN=$_subjects" "$@" ||
		_status=$?
	# 1 is a step that failed, which is in the results.
	[ "$_status" -le 1 ] ||
		echo "the machine ended with status $_status: $_console" >>"$work/problems"
	grep -v -e 'pcpuref-ktap: ' -e 'pcpuref-note: ' "$_console" >"$_console.kernel" || :
	complaints "$_console.kernel" | sed "s,\$, (${_console##*/})," >>"$work/problems"
}

# both NAME SUBJECT [PARAMETER]...: on the kernel as it is and on pcpuref, at the
# same time, so that what else the machine does is the same for both.
both()
{
	_both=$1
	_subject=$2
	shift 2
	boot "$unchanged" "$work/$_both-unchanged.log" "$_subject" "$@" &
	boot "$work/debug" "$work/$_both-pcpuref.log" "$_subject" "$@"
	wait
	for _k in unchanged pcpuref; do
		grep -q "pcpuref-result: .* \. end" "$work/$_both-$_k.log" ||
			echo "the tests did not come to their end: $_both-$_k.log" >>"$work/problems"
	done
}

# results LOG: TEST VERDICT, one a line
results()
{
	sed -n 's/.*pcpuref-result: //p' "$1" | grep -v ' \. end$' |
		awk '{ v = $NF; $NF = ""; sub(/ $/, ""); gsub(/ /, "_"); print $0, v }' | sort -u
}

# compare SUITE: both kernels have run it; a line of KTAP for each test that
# passes on the kernel as it is. Tests that differ get other chances, on both
# kernels alike: three in all.
compare()
{
	for _k in unchanged pcpuref; do
		results "$work/$1-$_k.log" >"$work/$1-$_k"
	done
	for _n in 2 3; do
		join -a 1 -a 2 -e missing -o 0,1.2,2.2 "$work/$1-unchanged" "$work/$1-pcpuref" |
			awk '$2 != $3 && ($2 ~ /pass/) != ($3 ~ /pass/) { print $1 }' |
			sed -e 's/^liburing_//' -e 's/^cgroup_\(test_[a-z_]*\).*/\1/' | sort -u >"$work/differ"
		[ -s "$work/differ" ] || break
		say "run $_n of: $(tr '\n' ' ' <"$work/differ")"
		both "$1-$_n" "$2" "DROP_IN_ONLY=$(tr '\n' , <"$work/differ")" "$3"
		for _k in unchanged pcpuref; do
			# All verdicts in a row, as pass,fail,pass
			results "$work/$1-$_n-$_k.log" |
				join -a 1 "$work/$1-$_k" - |
				awk '{ print $1, (NF > 2 ? $2 "," $3 : $2) }' >"$work/$1-$_k.tmp.$$"
			mv "$work/$1-$_k.tmp.$$" "$work/$1-$_k"
		done
	done
	join -a 1 -a 2 -e missing -o 0,1.2,2.2 "$work/$1-unchanged" "$work/$1-pcpuref" |
		awk -v suite="$1" -v number="$2" '
		{
			n++
			if ($3 ~ /pass/) {
				if ($2 ~ /pass/)
					both++
				note = $2 == "pass" && $3 == "pass" ? "" : " (unchanged: " $2 "; pcpuref: " $3 ")"
				print "    ok " n " " $1 note
			} else if ($2 ~ /pass/) {
				failed++
				print "    # unchanged: " $2 "; pcpuref: " $3
				print "    not ok " n " " $1
			} else {
				print "    ok " n " " $1 " # SKIP unchanged: " $2 "; pcpuref: " $3
			}
			u[$2 ~ /pass/ ? "pass" : $2]++
			p[$3 ~ /pass/ ? "pass" : $3]++
		}
		END {
			print "    1.." n + 0
			print failed || !both ? "not ok" : "ok", "1 " suite
			for (v in u)
				table = table "# " suite ", unchanged: " v " " u[v] "\n"
			for (v in p)
				table = table "# " suite ", pcpuref: " v " " p[v] "\n"
			printf "%s", table
		}'
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END {
		print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# --- The run ---------------------------------------------------------------------

"$top/scripts/initramfs.sh" "$work/initramfs" "$top/scripts/guest-drop-in-kernel.sh" \
	"$top/selftests/drop-in-kernel:drop-in-kernel"
! wanted selftests || cgroup_tests
! wanted liburing || liburing_tests
grafted_tree
: >"$work/problems"
: >"$work/ktap"
echo "# $(cat "$source/.complete"); what pcpuref changes in it: $work/tree/lib/pcpuref/tree.patch"

if wanted work || wanted selftests || wanted liburing; then
	grafted debug
fi
if wanted selftests || wanted liburing; then
	unchanged debug
	unchanged=$dir
fi

if wanted work; then
	say "booting: the work, on pcpuref"
	boot "$work/debug" "$work/work.log" "boot $subjects leaks" \
		"DROP_IN_COUNT=${DROP_IN_COUNT:-100}"
	sed -n 's/.*pcpuref-ktap: //p' "$work/work.log" >>"$work/ktap"
	grep -q 'pcpuref-ktap:     ok . references after boot$' "$work/work.log" ||
		echo "the machine has no references of pcpuref" >>"$work/problems"
fi

if wanted selftests; then
	say "booting: the selftests of cgroup, on both"
	both selftests cgroup-selftests "DROP_IN_CGROUP=$cgroup_tests" \
		${DROP_IN_ONLY:+"DROP_IN_ONLY=$DROP_IN_ONLY"}
	compare selftests cgroup-selftests "DROP_IN_CGROUP=$cgroup_tests" >"$work/compared"
	cat "$work/compared" >>"$work/ktap"
fi

if wanted liburing; then
	say "booting: liburing's tests, on both"
	both liburing liburing "DROP_IN_LIBURING=$liburing_tests" \
		${DROP_IN_ONLY:+"DROP_IN_ONLY=$DROP_IN_ONLY"}
	compare liburing liburing "DROP_IN_LIBURING=$liburing_tests" >"$work/compared"
	cat "$work/compared" >>"$work/ktap"
fi

if wanted iops; then
	unchanged fast
	unchanged=$dir
	grafted fast
	rm -f "$work"/iops-*
	for n in $(seq "${ROUNDS:-5}"); do
		say "booting: fio on null_blk, in turns, round $n"
		# Who comes second is slower, on some machines.
		set -- "$unchanged unchanged" "$work/fast pcpuref"
		[ $((n % 2)) -eq 1 ] || set -- "$2" "$1"
		for k; do
			SMP=2 boot "${k% *}" "$work/iops-${k##* }-$n.log" iops
		done
	done
	{
		printf '# %-16s %14s %14s %8s\n' "fio on null_blk" percpu_ref pcpuref ratio
		results "$work/iops-pcpuref-1.log" | cut -d ' ' -f 1 | while read -r t; do
			for k in unchanged pcpuref; do
				for f in "$work/iops-$k"-*.log; do
					results "$f"
				done | awk -v t="$t" '$1 == t { print $2 }' | median >"$work/median-$k"
			done
			a=$(cat "$work/median-unchanged") b=$(cat "$work/median-pcpuref")
			printf '# %-16s %14.0f %14.0f %8s\n' "${t#iops_}" "$a" "$b" \
				"$(awk -v a="$a" -v b="$b" 'BEGIN { if (a > 0) printf "%.3f", b / a }')"
		done
		echo "# medians of ${ROUNDS:-5} boots in turns, requests a second, User Mode Linux without debugging"
	} >"$work/iops"
	if [ "$(wc -l <"$work/iops")" -gt 2 ]; then
		echo "ok 1 iops" >>"$work/ktap"
	else
		echo "not ok 1 iops" >>"$work/ktap"
	fi
fi

# One plan for all of them.
awk '/^1\.\./ { next }
	/^(not )?ok [0-9]+ / { sub(/ok [0-9]+ /, "ok " ++n " ") }
	{ print }
	END { print "1.." n + 0 }' "$work/ktap" >"$work/all"
sed 's/^/error: /' "$work/problems"
rc=0
awk -v problems="$(wc -l <"$work/problems")" -f "$top/scripts/ktap.awk" "$work/all" \
	>"$work/report" || rc=$?
[ "$rc" -eq 0 ] || echo "# the kernels' logs: $work/*.log"
! wanted iops || cat "$work/iops"
grep -E '^# (selftests|liburing), ' "$work/all" || :
cat "$work/report"
exit "$rc"
